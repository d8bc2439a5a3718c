"""Data sets: readers, filters, splits, ids, Parquet tables. No torch, no network."""

from reclens.data.built_in import built_in_source
from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.data.prepare import checksums, prepare, source_files, verify_checksums
from reclens.data.storage import read_dataset, write_dataset

__all__ = [
    "Dataset",
    "Interactions",
    "Items",
    "Split",
    "Users",
    "built_in_source",
    "checksums",
    "prepare",
    "read_dataset",
    "source_files",
    "verify_checksums",
    "write_dataset",
]
