"""Requests that come together go to inference together."""
