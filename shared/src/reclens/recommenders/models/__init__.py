"""The recommenders that come with RecLens, one module each, and their objectives."""
