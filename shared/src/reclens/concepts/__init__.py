"""Concepts: evidence, keyword labels and their confidence on held-out users. No torch.

`grouping` and `table` need pyarrow only and are what serving imports; `labelling` and what it is
made of need scipy and scikit-learn, so they are not imported here.
"""

from reclens.concepts.labels.concepts import Concept, group_concepts
from reclens.concepts.labels.table import read_concepts, write_concepts
from reclens.contracts.tables.concepts import LatentLabel

__all__ = ["Concept", "LatentLabel", "group_concepts", "read_concepts", "write_concepts"]
