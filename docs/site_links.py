"""Lets the site keep links that lead out of ``docs/``: to the code, they name a path instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Show links to files outside the documentation as their paths; the rest as it is."""
    docs = Path(config["docs_dir"])
    here = (docs / page.file.src_uri).parent

    def shown(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(docs) and target.exists():
            return link[0]
        path = target.relative_to(docs.parent)
        return link[1] if link[1].strip("`") == str(path) else f"{link[1]} (`{path}`)"

    return _LINK.sub(shown, markdown)
