"""One tensor within whatever a module returns: found, and replaced by another."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, cast

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from reclens.errors import InvalidInput

Place = tuple[int, ...]
"""Where a tensor is: the place in a tuple, list or mapping (in its own order), and within that."""


def select_tensor(output: Any, place: Place, module: str) -> Tensor | PackedSequence:
    """The tensor or packed sequence at ``place`` of a module's output.

    Args:
        output: a tensor, or tuples, lists or mappings that hold some.
        place: empty where the output is the tensor itself.
        module: dotted path of the module, for the error message.

    Raises:
        InvalidInput: the place does not fit the output, or what is there is not a tensor.
    """
    part = output
    for index in place:
        parts = _parts(part)
        part = parts[index] if -len(parts) <= index < len(parts) else None
    if isinstance(part, Tensor | PackedSequence):
        return part
    listed = ", ".join(f"{_written(at)} {_shape(one)}" for at, one in _tensors(output))
    if isinstance(output, Tensor | PackedSequence):
        problem = f"{module!r} returns a single tensor, so it has no output {_written(place)}."
        remedy = "leave `output` out."
    elif not listed:
        problem = f"{module!r} returns {type(output).__name__}, which holds no tensor."
        remedy = "probe a module that returns a tensor, or a tuple, list or mapping of them."
    else:
        said = f"output {_written(place)} of {module!r} is not a tensor"
        kind = f"{module!r} returns a {type(output).__name__} of {len(_parts(output))} values"
        problem, remedy = f"{said if place else kind}.", f"set `output` to one of: {listed}."
    raise InvalidInput(problem, field="output", remedy=remedy)


def replace_tensor(output: Any, place: Place, tensor: Tensor | PackedSequence) -> Any:
    """A copy of ``output`` with ``tensor`` at ``place``; ``output`` itself stays as it is."""
    if not place:
        return tensor
    index, inner = place[0], place[1:]
    parts = _parts(output)
    parts[index] = replace_tensor(parts[index], inner, tensor)
    if isinstance(output, Mapping):
        changed = cast("Any", copy.copy(output))
        changed[list(output)[index]] = parts[index]
        return changed
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*parts)
    return type(output)(parts)


def pack_like(padded: Tensor, lengths: Tensor, packed: PackedSequence) -> PackedSequence:
    """``padded`` [batch, length, d_model] in the order of steps that ``packed`` has."""
    if packed.sorted_indices is not None:
        order = packed.sorted_indices
        padded, lengths = padded[order], lengths[order.to(lengths.device)]
    steps = pack_padded_sequence(padded, lengths, batch_first=True).data
    return PackedSequence(steps, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)


def tensors_in(values: Any) -> list[Tensor]:
    """All tensors of arguments or of an output, in order."""
    return [one for _, one in _tensors(values) if isinstance(one, Tensor)]


def _parts(output: Any) -> list[Any]:
    if isinstance(output, Mapping):
        return list(cast("Mapping[Any, Any]", output).values())
    if isinstance(output, tuple | list) and not isinstance(output, PackedSequence):
        return list(cast("Any", output))
    return []


def _tensors(output: Any, place: Place = ()) -> Iterator[tuple[Place, Tensor | PackedSequence]]:
    if isinstance(output, Tensor | PackedSequence):
        yield place, output
    for index, part in enumerate(_parts(output)):
        yield from _tensors(part, (*place, index))


def _written(place: Place) -> str:
    return str(place[0]) if len(place) == 1 else str(place)


def _shape(one: Tensor | PackedSequence) -> str:
    return str(list(one.shape)) if isinstance(one, Tensor) else "(a packed sequence)"
