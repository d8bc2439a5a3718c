"""The system that a study runs on where none is named: the local stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reclens.ops.local.processes import undisturbed
from reclens.ops.local.stack import LocalStack
from reclens.ops.local.state import StateFolder
from reclens.platform.settings.models import ClientSettings


@contextmanager
def local_system(say: Callable[[str], None], *, keep: bool = False) -> Iterator[ClientSettings]:
    """Settings of the local stack, while it runs.

    A stack that runs already is used and left running; one that was started here is stopped
    whatever happens.

    Args:
        say: called with a line for everything that happens.
        keep: leave the stack running if all goes well.

    Raises:
        Unavailable: a part of the stack died or does not answer.
    """
    stack = LocalStack(StateFolder.default())
    started_here = not stack.running()
    done = False
    try:
        stack.up(say)
        yield stack.state.settings()
        done = True
    finally:
        if started_here and not (keep and done):
            with undisturbed():
                stack.down(say)
