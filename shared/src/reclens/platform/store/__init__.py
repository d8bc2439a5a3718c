"""The object store: artifacts, append-only logs, releases."""
