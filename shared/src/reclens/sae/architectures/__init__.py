"""Architectures of sparse autoencoders, one module each, and how they are stored."""
