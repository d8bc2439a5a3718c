"""The calls of SteeringService, a chapter for each kind: every handler with the right it takes."""
