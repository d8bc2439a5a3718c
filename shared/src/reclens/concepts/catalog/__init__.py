"""Concepts and items as serving looks them up.

``items`` by row, id and tag; ``concepts`` by id, latent and words; ``carriers``, the items that
carry a concept; ``text_matching``, the items that a text stands for.
"""
