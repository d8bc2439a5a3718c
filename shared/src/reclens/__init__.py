"""RecLens opens a recommender at one place: capture, decompose, name, steer."""

__version__ = "0.1.0"
