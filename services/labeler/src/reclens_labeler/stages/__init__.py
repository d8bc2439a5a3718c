"""Stages of the labeler: what its jobs compute."""
