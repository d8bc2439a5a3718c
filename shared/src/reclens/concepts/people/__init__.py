"""What people say of concepts: corrections that last, and surveys."""
