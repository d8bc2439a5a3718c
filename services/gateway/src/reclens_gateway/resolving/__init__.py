"""From names in a request to edits of latents and rows of the catalogue."""
