"""The Parquet tables: what a stage writes and the next one reads.

A module for each kind of artifact, and in it a dataclass for each table, whose docstrings say what
its columns hold; docs/reference/tables.md is made of them.
"""

from typing import Final

from reclens.contracts.tables.cases import ACTIVATION_SHARD, CODE_SHARD, LATENTS, SERVED_SPLITS
from reclens.contracts.tables.concepts import CONCEPTS
from reclens.contracts.tables.dataset import INTERACTIONS, ITEM_TAGS, ITEMS, USERS
from reclens.contracts.tables.evaluation import EXAMPLES, FIDELITY, LATENT_QUALITY, LEVELS
from reclens.contracts.tables.table import Table

TABLES: Final = {
    "datasets": (INTERACTIONS, ITEMS, USERS, ITEM_TAGS),
    "activations": (ACTIVATION_SHARD,),
    "autoencoders": (CODE_SHARD, LATENTS),
    "concepts": (CONCEPTS,),
    "evaluations": (FIDELITY, LATENT_QUALITY, LEVELS, EXAMPLES),
}
"""All tables by kind of artifact."""

__all__ = [
    "ACTIVATION_SHARD",
    "CODE_SHARD",
    "CONCEPTS",
    "EXAMPLES",
    "FIDELITY",
    "INTERACTIONS",
    "ITEMS",
    "ITEM_TAGS",
    "LATENTS",
    "LATENT_QUALITY",
    "LEVELS",
    "SERVED_SPLITS",
    "TABLES",
    "USERS",
    "Table",
]
