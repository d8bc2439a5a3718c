"""Statistics that every evaluation uses: agreement, bootstrap, chance."""
