"""The page for operators names every metric of a server."""

from __future__ import annotations

from pathlib import Path

from reclens.platform.observability.metrics import Metrics

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "operations.md"


def test_every_metric_is_there() -> None:
    text = PAGE.read_text()
    ours = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        if family.name.startswith("reclens_")
    }
    assert len(ours) > 10
    assert [name for name in sorted(ours) if f"`{name}`" not in text] == []
