"""A data set small enough to reproduce a report on, in the files of MovieLens-1M."""

from __future__ import annotations

from pathlib import Path

import numpy as np

GENRES = ("Comedy", "Horror", "Western")
N_USERS, N_ITEMS, N_DAYS = 60, 90, 40
_TASTE = 0.85  # share of a user's films that are of the genre the user likes
_FIRST, _DAY = 978_300_000, 86_400


def write_small_movielens(folder: Path) -> Path:
    """Write ``ratings.dat``, ``movies.dat`` and ``users.dat``: each user likes one of three genres.

    Every user rates one film a day, so that the split by days that MovieLens-1M has by default
    leaves all of them something to learn from and something to find.

    Returns:
        ``folder``.
    """
    rng = np.random.default_rng(0)
    genre_of = np.arange(N_ITEMS) % len(GENRES)
    films = [f"{i + 1}::Film {i + 1} (1990)::{GENRES[genre_of[i]]}" for i in range(N_ITEMS)]
    users = [f"{u + 1}::F::25::0::00000" for u in range(N_USERS)]
    ratings: list[str] = []
    for user in range(N_USERS):
        weights = np.where(genre_of == user % len(GENRES), _TASTE, (1 - _TASTE) / 2)
        seen = rng.choice(N_ITEMS, size=N_DAYS, replace=False, p=weights / weights.sum())
        ratings += [
            f"{user + 1}::{film + 1}::5::{_FIRST + day * _DAY + user}"
            for day, film in enumerate(seen.tolist())
        ]
    for name, lines in (("movies.dat", films), ("users.dat", users), ("ratings.dat", ratings)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder
