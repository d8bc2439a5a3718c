"""What the model makes of users and histories: computed in batches whose bits do not depend on who
shares them, and kept.
"""
