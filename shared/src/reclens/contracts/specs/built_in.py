"""Data sets that RecLens obtains by itself, and what it does to each unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

BUILT_IN_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "ml-100k": {},
        # The setting of arXiv 2411.06112: ratings of 4 and 5, 5-core, 80/10/10 of the days.
        "ml-1m": {
            "min_rating": 4.0,
            "k_core": 5,
            "split": {"kind": "global-time", "share_of": "days"},
        },
        "grocery": {},
        "yelp": {},
        # Plays have no order, so nobody's last one can be held out; 10,000 of the 17,632 artists
        # have one listener.
        "lastfm-2k": {"k_core": 5, "split": {"kind": "ratio"}},
    }
)
"""By name: fields of ``DatasetSpec`` whose default differs for this data set."""


def with_defaults(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` of a ``DatasetSpec``, completed with the defaults of the built-in data set.

    What is given stays. A ``split`` without ``kind`` is completed by the data set's own; one with
    ``kind`` is taken as it is.
    """
    defaults = BUILT_IN_DEFAULTS[name]
    completed = {**defaults, **fields}
    split = fields.get("split")
    if isinstance(split, Mapping) and "kind" not in split:
        completed["split"] = {**defaults.get("split", {}), **split}
    return completed
