"""Evidence: cases that fire a latent, the terms of their items, and which are more than chance."""
