"""The examples of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def examples(page: str, language: str = r"\w+", where: str = "") -> list[str]:
    """Fenced examples of a page, in order.

    Args:
        page: path from the root of the repository.
        language: regular expression of what stands behind the fence.
        where: regular expression that is found in each; ``^`` and ``$`` are those of a line.
    """
    found: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```", (_ROOT / page).read_text(), re.M | re.S
    )
    return [example for example in found if re.search(where, example, re.M)]
