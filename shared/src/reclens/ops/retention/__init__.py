"""What is kept: garbage collection, backup and restore."""
