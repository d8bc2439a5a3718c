"""Training: the data in seeded order, the step, the optimizer, and a run that can be cut."""
