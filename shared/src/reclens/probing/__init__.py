"""Open a model at one place: read what passes there, or write something else back."""

from reclens.probing.site import Captured, ProbeSite

__all__ = ["Captured", "ProbeSite"]
