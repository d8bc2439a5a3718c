"""Whole studies: the demo, and every table and figure of a data set and a model."""
