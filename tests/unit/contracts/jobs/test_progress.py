"""What jobs say, read by older parts."""

from __future__ import annotations

import pytest

from reclens.contracts import (
    Contract,
    DatasetSpec,
    FailureReport,
    JobResult,
    Progress,
    Record,
    Release,
    Waiting,
)
from reclens.errors import InvalidSpec

RECORDS: list[Record] = [
    Progress(stage="train"),
    Waiting(reason="UNAVAILABLE", message="it is away", since="2024", next_try_at="2024"),
    FailureReport(reason="UNAVAILABLE", type="Unavailable", message="it is away"),
    JobResult(artifact="datasets/0123456789abcdef"),
    Release(
        name="demo",
        version="1",
        recommender="recommenders/0123456789abcdef",
        autoencoder="autoencoders/0123456789abcdef",
        concepts="concepts/0123456789abcdef",
        published_at="2024",
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_fields_that_came_later_are_passed_over(record: Record):
    assert type(record).parse({**record.canonical(), "came_later": 1}) == record


@pytest.mark.parametrize("contract", [DatasetSpec()])
def test_specifications_are_no_records(contract: Contract):
    with pytest.raises(InvalidSpec, match="came_later"):
        type(contract).parse({**contract.canonical(), "came_later": 1})
