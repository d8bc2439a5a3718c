"""The calls of SteeringService, a file for each kind."""
