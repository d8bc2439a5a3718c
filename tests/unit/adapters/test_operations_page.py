"""The page for operators names every setting of a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from reclens.adapters.grpc_server import ServerSettings
from reclens.adapters.meters import Meters

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def variables(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def test_every_setting_is_there() -> None:
    text = PAGE.read_text()
    assert [name for name in variables(ServerSettings) if f"...{name}`" not in text] == []


def test_every_metric_is_there() -> None:
    text = PAGE.read_text()
    ours = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Meters().registry.collect()
        if family.name.startswith("reclens_")
    }
    assert len(ours) > 10
    assert [name for name in sorted(ours) if f"`{name}`" not in text] == []
