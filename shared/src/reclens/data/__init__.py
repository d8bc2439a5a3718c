"""Data sets: readers, filters, splits, ids, Parquet tables. No torch, no network."""

from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.data.prepare import prepare
from reclens.data.reading import checksums, published_source, source_files, verify_checksums
from reclens.data.storage import read_dataset, write_dataset

__all__ = [
    "Dataset",
    "Interactions",
    "Items",
    "Split",
    "Users",
    "checksums",
    "prepare",
    "published_source",
    "read_dataset",
    "source_files",
    "verify_checksums",
    "write_dataset",
]
