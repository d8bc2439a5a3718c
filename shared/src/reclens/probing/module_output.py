"""One tensor within whatever a module returns: find it, and put another in its place."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from reclens.errors import InvalidInput


def select_tensor(output: Any, index: int | None, module: str) -> Tensor:
    """The tensor at ``index`` of a module's output.

    Args:
        output: a tensor, or a tuple, list or mapping (taken in its own order) that holds some.
        index: place within the tuple, list or mapping; None where the output is the tensor itself.
        module: dotted path of the module, for the error message.

    Raises:
        InvalidInput: the index does not fit the output, or what is there is not a tensor.
    """
    if isinstance(output, Tensor):
        if index is not None:
            raise InvalidInput(
                f"{module!r} returns a single tensor, so it has no output {index}.",
                field="output",
                remedy="leave `output` out.",
            )
        return output
    if not isinstance(output, tuple | list | Mapping):
        raise InvalidInput(
            f"{module!r} returns {type(output).__name__}, which holds no tensor that can be named.",
            field="output",
            remedy="probe a module that returns a tensor, or a tuple, list or mapping of them.",
        )
    parts = list(cast("Any", output).values() if isinstance(output, Mapping) else output)
    if index is None:
        raise InvalidInput(
            f"{module!r} returns {len(parts)} values in a {type(output).__name__}.",
            field="output",
            remedy=f"say which: {_tensor_places(parts)}.",
        )
    if not -len(parts) <= index < len(parts) or not isinstance(parts[index], Tensor):
        raise InvalidInput(
            f"output {index} of {module!r} is not a tensor.",
            field="output",
            remedy=f"choose one of {_tensor_places(parts)}.",
        )
    return parts[index]


def replace_tensor(output: Any, index: int | None, tensor: Tensor) -> Any:
    """A copy of ``output`` with ``tensor`` at ``index``; ``output`` itself stays as it is."""
    if index is None:
        return tensor
    if isinstance(output, Mapping):
        changed = cast("Any", copy.copy(output))
        changed[list(output)[index]] = tensor
        return changed
    parts = list(output)
    parts[index] = tensor
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*parts)
    return type(output)(parts)


def _tensor_places(parts: list[Any]) -> str:
    places = [str(place) for place, part in enumerate(parts) if isinstance(part, Tensor)]
    return ", ".join(places) if places else "(it holds no tensor)"
