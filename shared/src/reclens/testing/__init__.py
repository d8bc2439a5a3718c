"""Suites of tests to inherit: what anything that extends RecLens must do, one module a point.

They need pytest, and nothing else of RecLens imports them. Each is a plain class of tests; inherit
it and override its fixtures.
"""
