"""A page on one imported data set: what is in it, what is odd, and what that means."""
