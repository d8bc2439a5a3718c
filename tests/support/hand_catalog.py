"""Catalogues of items, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from reclens.concepts.catalog.items import ItemCatalog, ItemEntry
from reclens.contracts.tables import ITEMS


def catalog_of(entries: Sequence[ItemEntry]) -> ItemCatalog:
    """The catalogue of these items, in this order, equally popular."""
    columns = {
        name: [getattr(one, name) for one in entries]
        for name in ("item_id", "title", "tags", "year")
    }
    return ItemCatalog(ITEMS.build({**columns, "popularity": [0] * len(entries)}))
