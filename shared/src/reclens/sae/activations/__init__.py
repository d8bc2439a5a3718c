"""Activations: where they come from, what they are on average, and the order they are seen in."""
