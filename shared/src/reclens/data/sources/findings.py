"""What is told while files are read: how they were understood, and what is odd about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from reclens.contracts import ColumnNames
from reclens.contracts.account import MAX_TOLD, Finding

Level = Literal["note", "warning"]


@dataclass(frozen=True)
class Reading:
    """One reading of a source: what the specification says of its files, and what was found."""

    columns: ColumnNames = field(default_factory=ColumnNames)
    """Names, and how cells are written."""
    findings: list[Finding] = field(default_factory=list)
    """In the order in which they were made."""

    def tell(
        self,
        code: str,
        level: Level,
        count: int,
        message: str,
        *,
        file: str,
        line: int = 0,
        column: str = "",
        value: object = "",
        remedy: str = "",
    ) -> None:
        """Add a `Finding`; of ``value`` as much as it takes."""
        self.findings.append(
            Finding(
                code=code,
                level=level,
                count=count,
                message=message,
                file=file,
                line=line,
                column=column,
                value=clipped(value),
                remedy=remedy,
            )
        )


def clipped(value: object) -> str:
    """As much of a cell as findings quote."""
    return str(value)[:MAX_TOLD]
