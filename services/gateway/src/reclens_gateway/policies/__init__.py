"""Stored policies: checked before they are written, read from a snapshot in memory."""
