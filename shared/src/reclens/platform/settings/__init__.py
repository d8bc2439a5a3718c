"""Settings from the environment, and secrets from files."""
