"""gRPC servers and channels: identity, limits, errors, encryption, processes."""
