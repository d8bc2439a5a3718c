"""Commands about jobs and artifacts, and about what people say of concepts."""
