"""RecLens opens a recommender at one place: capture, decompose, name, steer."""

from importlib.metadata import version

__version__ = version("reclens")
