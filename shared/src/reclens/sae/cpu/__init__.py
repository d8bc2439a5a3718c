"""The fused training step on a CPU: compiled loops over the few latents that fire. Needs numba."""
