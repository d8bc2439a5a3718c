"""Whether the strongest cases of a latent are alike, by item vectors, text and intruders."""
