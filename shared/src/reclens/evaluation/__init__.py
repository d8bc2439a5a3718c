"""Evaluation: what a dictionary keeps of its recommender, and whether its concepts hold.

`fidelity` runs the recommender and needs torch; every other module needs numpy and scipy only.
"""
