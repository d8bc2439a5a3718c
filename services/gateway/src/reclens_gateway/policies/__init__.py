"""Stored policies: read, checked, changed, audited."""
