"""Everything that talks to the outside: object store, Celery, Redis, gRPC. No torch."""
