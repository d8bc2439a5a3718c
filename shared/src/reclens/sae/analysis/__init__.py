"""What a trained autoencoder is worth: held-out error, statistics of latents, stability, probes."""
