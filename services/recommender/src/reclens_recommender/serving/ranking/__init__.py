"""Ranking: the best items of a catalogue by the bits that the model itself would give.

`ranker` has the interface, `choice` picks the implementation by size of catalogue, device and what
the model's kernels do here: `exact` scores all items, in three ways, and `approximate` only what
its index finds. `catalogue` computes scores, `selection` finds the best among bounded ones.
"""
