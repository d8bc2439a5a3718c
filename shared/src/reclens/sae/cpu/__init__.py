"""Compiled loops on a CPU: they select latents and differentiate a step that touches only few.

`selection` works without numba too; `kernels` readies the loops of `selection_loops` and
`step_loops` for tensors.
"""
