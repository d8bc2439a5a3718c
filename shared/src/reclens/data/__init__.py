"""Data sets: readers, filters, splits, ids, Parquet tables. No torch, no network."""

from reclens.data.account import check_account, evaluable_users, refuse_unevaluable
from reclens.data.dataset import Dataset, Interactions, Items, Split, Users
from reclens.data.prepare import import_dataset, prepare
from reclens.data.reading import checksums, published_source, source_files, verify_checksums
from reclens.data.storage import read_dataset, write_dataset

__all__ = [
    "Dataset",
    "Interactions",
    "Items",
    "Split",
    "Users",
    "check_account",
    "checksums",
    "evaluable_users",
    "import_dataset",
    "prepare",
    "published_source",
    "read_dataset",
    "refuse_unevaluable",
    "source_files",
    "verify_checksums",
    "write_dataset",
]
