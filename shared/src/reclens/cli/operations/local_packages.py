"""What the local stack takes besides the command line, said where it is missing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from reclens.errors import MissingData

# Modules of the packages in the extras ``local`` and ``plots``.
_MODULES = frozenset({"jinja2", "matplotlib", "psutil", "supervisor"})


class needed_locally(AbstractContextManager[None]):  # noqa: N801 - reads as a statement
    """Around imports of the local stack.

    Raises:
        MissingData: a package of the extra ``local`` is not installed.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, ModuleNotFoundError):
            return
        package = (error.name or "").partition(".")[0]
        if package in _MODULES:
            raise MissingData(
                f"the package {package} is not installed.",
                field="local",
                remedy="install what the stack on this machine takes: pip install -c "
                "constraints.txt './shared[local]'; a stack in containers is `docker compose up`.",
            ) from error
