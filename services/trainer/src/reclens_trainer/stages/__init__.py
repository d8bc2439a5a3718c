"""Stages of the trainer: what its jobs compute."""
