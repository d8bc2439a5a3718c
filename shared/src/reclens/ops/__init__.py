"""Running RecLens: the local stack, and deployments with least privilege."""
