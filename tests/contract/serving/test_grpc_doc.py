"""Every Python example of the page on calling the gateway runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from documented import examples

from reclens import errors
from reclens.api.steering.v1 import steering_pb2

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "grpc.md").read_text()
BLOCKS = examples("docs/how-to/grpc.md", "python")
# The planted data has other ids than the real ones that the page names.
PLANTED = {'"7"': '"user-0"', '"50"': '"item-5"', '"172"': '"item-17"'}


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_example(sasrec, block: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("RECLENS_CLIENT__TARGET", sasrec.gateway.address)
    for real, planted in PLANTED.items():
        block = block.replace(real, planted)
    exec(compile(block, "docs/how-to/grpc.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.strip()


def test_every_call_is_on_the_page() -> None:
    service = steering_pb2.DESCRIPTOR.services_by_name["SteeringService"]
    table = PAGE.partition("## From Python")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", table)) - {service.name}
    assert named == {method.name for method in service.methods}


def test_table_of_errors_is_that_of_the_classes() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \|", PAGE.partition("## Errors")[2], re.M)
    assert len(rows) > 10
    for code, reasons, classes in rows:
        assert code in grpc.StatusCode.__members__
        named = [getattr(errors, name) for name in re.findall(r"`(\w+)`", classes)]
        assert [one.reason for one in named] == re.findall(r"`(\w+)`", reasons)
        assert {one.grpc_code for one in named} == {code}
