#!/usr/bin/env python3
"""Writes the blocking client from the one for asyncio: the same code without its async words.

deploy/generate-sync-client.py [--check]: with it, only tells whether the committed file is stale.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tokenize
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "shared" / "src" / "reclens" / "client"
SOURCE, TARGET = CLIENT / "asynchronous.py", CLIENT / "synchronous.py"
HEADER = '''# Generated from asynchronous.py by deploy/generate-sync-client.py. DO NOT EDIT!
"""Blocking client of SteeringService."""
'''
DROPPED = {"async", "await"}
NAMES = {
    "AsyncIterator": "Iterator",
    "AsyncSession": "Session",
    "AsyncSteeringClient": "SteeringClient",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aio": "grpc",
    "open_stream": "BlockingStream",
}
WORDS = {"tasks may share": "threads may share", "One task may send": "One thread may send"}


def without_async(source: str) -> str:
    """The blocking form of Python code."""
    body = source.split('"""', 2)[2].replace("from grpc import aio\n", "")
    for word, instead in WORDS.items():
        assert word in body, f"{SOURCE} says {word!r} no longer"
        body = body.replace(word, instead)
    lines = body.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(body).readline))):
        if token.type == tokenize.OP or token.string not in DROPPED | NAMES.keys():
            continue
        row, start, end = token.start[0] - 1, token.start[1], token.end[1]
        # The space behind a word goes with it.
        end += token.string in DROPPED
        instead = NAMES.get(token.string, "")
        lines[row] = lines[row][:start] + instead + lines[row][end:]
    return HEADER + "".join(lines)


def formatted(code: str) -> str:
    """The code as ruff leaves it."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["check", "--fix", "--select", "I"], ["format"]):
        whole = [ruff, *command, "--quiet", "--stdin-filename", str(TARGET), "-"]
        code = subprocess.run(
            whole, input=code, text=True, check=True, stdout=subprocess.PIPE
        ).stdout
    return code


def main() -> None:
    """Write the file, or check it."""
    code = formatted(without_async(SOURCE.read_text(encoding="utf-8")))
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(code, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != code:
        sys.exit(f"{TARGET} is stale: run make protos")


if __name__ == "__main__":
    main()
