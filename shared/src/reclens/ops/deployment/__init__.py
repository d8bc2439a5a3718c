"""Setting a deployment up: credentials with least privilege, the bucket, the first release."""
