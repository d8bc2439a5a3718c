"""How far a label can be trusted: judges, and their verdicts on held-out users."""
