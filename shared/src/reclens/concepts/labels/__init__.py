"""Labels: made for every latent, joined to concepts, written as one table."""
