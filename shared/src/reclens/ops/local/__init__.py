"""The whole stack on one machine without Docker: the same processes, real Redis, real S3."""
