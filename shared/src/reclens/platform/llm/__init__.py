"""Clients of language models and of sentence embeddings, and the store of their answers."""
