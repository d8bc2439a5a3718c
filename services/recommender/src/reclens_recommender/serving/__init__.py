"""InferenceService: the recommender's own forward pass, opened at one place and edited there."""
