"""Concepts and items as serving looks them up: by id, by text, by tag."""
