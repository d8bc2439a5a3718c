"""Attacks by a seeded fuzzer on real servers, workers and stores; nothing may get in.

Read in this order: `values` makes hostile JSON; `target` is the system that is attacked, with files
that nobody may read or write; `calls`, `jobs` and `stored` are the attacks, a case each from its
seed; `oracle` tells what got in; ``python -m attack`` runs many.
"""
