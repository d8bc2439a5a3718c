"""From names in a request to edits of latents and places in the catalogue."""
