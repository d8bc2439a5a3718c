"""Evaluation: what a dictionary keeps of its recommender, and whether its concepts hold.

`fidelity` runs the recommender and `probing` fits classifiers: they need the extra `torch`; every
other module needs numpy and scipy only.
"""
