"""The vectors of cases within a module's output, however it is laid out: read, and written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from reclens.errors import InvalidInput
from reclens.probing.outputs import Place, pack_like, replace_tensor, select_tensor

RANK: dict[str, int] = {"last": 3, "all": 3, "row": 2}
"""Dimensions of the output, by position."""
LAYOUT: dict[str, str] = {
    "last": "[batch, length, d_model]",
    "all": "[batch, length, d_model]",
    "row": "[batch, d_model]",
}
"""What an output is read as, by position."""

_TRANSFORMERS = (
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoder,
    nn.TransformerDecoderLayer,
)


class Location(Protocol):
    """Where vectors are in an output: a `reclens.probing.ProbeSite`."""

    @property
    def module(self) -> str: ...
    @property
    def position(self) -> str: ...
    @property
    def place(self) -> Place: ...
    @property
    def batch_dim(self) -> int: ...


class Vectors(NamedTuple):
    """What a site takes of an output."""

    whole: Float[Tensor, "batch *length d_model"]
    """The tensor, batch first; a packed sequence is padded."""
    x: Float[Tensor, "batch *length d_model"]
    """The vectors."""
    ends: Tensor | None
    """Index of each row's last position; None: the last of all."""
    lengths: Tensor | None = None
    """Of the sequences, where they came packed."""


def take_vectors(site: Location, module: nn.Module, output: Any, ends: Tensor | None) -> Vectors:
    """The vectors of ``site`` in what ``module`` returned.

    Args:
        site: where they are.
        module: what returned the output.
        output: it.
        ends: index of each row's last item [batch]; None: the last position of all, or, of a packed
            sequence, that of each.

    Raises:
        InvalidInput: the site does not fit the output.
    """
    part, lengths = select_tensor(output, site.place, site.module), None
    if isinstance(part, PackedSequence):
        whole, lengths = pad_packed_sequence(part, batch_first=True)
        ends = lengths - 1
        _check_rank(site, whole)
    else:
        _check_rank(site, part)
        whole = _batch_first(site, module, part)
    if site.position != "last":
        return Vectors(whole, whole, None, lengths)
    if ends is None:
        return Vectors(whole, whole[:, -1], None)
    ends = ends.to(whole.device)
    if ends.shape != whole.shape[:1] or bool(((ends < 0) | (ends >= whole.shape[1])).any()):
        raise InvalidInput(
            f"the last positions {ends.tolist()} do not fit {list(whole.shape)}: each of "
            f"{len(whole)} rows has 1 to {whole.shape[1]} items.",
            field="lengths",
            remedy="give lengths [batch], or a mask [batch, length], of this very batch.",
        )
    x = whole[torch.arange(len(whole), device=whole.device), ends]
    return Vectors(whole, x, ends, lengths)


def write_vectors(site: Location, output: Any, vectors: Vectors, changed: Any) -> Any:
    """A copy of a module's output with ``changed`` at the site, in the model's dtype.

    Raises:
        InvalidInput: they are of another shape, or overflow float16.
    """
    x, whole = vectors.x, vectors.whole
    if not isinstance(changed, Tensor) or changed.shape != x.shape:
        got = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise InvalidInput(
            f"the intervention must return a tensor of shape {list(x.shape)}, got {got}.",
            field="fn",
            remedy="return one vector for every vector received.",
        )
    written = changed.to(whole)
    if written.dtype == torch.float16 != changed.dtype and bool(changed.isfinite().all()):
        refuse_not_finite(written, lambda row: f"case {row}", site.module)
    if site.position == "last":
        row = torch.arange(len(whole), device=whole.device)
        last = -1 if vectors.ends is None else vectors.ends
        written = whole.clone().index_put(
            (row, torch.as_tensor(last, device=whole.device)), written
        )
    part = select_tensor(output, site.place, site.module)
    if isinstance(part, PackedSequence):
        assert vectors.lengths is not None
        return replace_tensor(output, site.place, pack_like(written, vectors.lengths, part))
    return replace_tensor(
        output, site.place, written.transpose(0, 1) if site.batch_dim else written
    )


def refuse_not_finite(x: Tensor, name: Callable[[int], str], module: str) -> None:
    """Refuse vectors [batch, ..., d_model] with a NaN or an infinity.

    Raises:
        InvalidInput: names the row, by ``name``, and the dimension.
    """
    finite = torch.isfinite(x)
    if bool(finite.all()):
        return
    at = tuple((~finite).nonzero()[0].tolist())
    raise InvalidInput(
        f"{name(at[0])}: dimension {at[-1]} of {module!r} is {x[at].item()}.",
        field="site.module",
        remedy="run the model in float32 or bfloat16: float16 ends at 65504."
        if x.dtype == torch.float16
        else "look at the model's weights and at this case.",
    )


def last_items(given: Any, *, of_mask: bool, inverted: bool = False) -> Tensor | None:
    """Index of each row's last item, -1 where there is none.

    Args:
        given: lengths [batch] or a mask [batch, length]; None: not known.
        of_mask: whether it is a mask, true or not 0 at items.
        inverted: whether it is true at padding instead.
    """
    if given is None:
        return None
    values = torch.as_tensor(given)
    if not of_mask:
        return values.long() - 1
    items = (values != 0) ^ inverted
    places = torch.arange(1, values.shape[-1] + 1, device=values.device)
    return (items * places).amax(-1) - 1


def moved(x: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_model"]:
    """Other vectors than ``x``, each as far off as it is long, and nowhere that an edit would move
    it to: what then stays as it was does not depend on it."""
    length = x.float().norm(dim=-1, keepdim=True).clamp(min=1)
    far = x - length * torch.linspace(-0.7, 0.7, x.shape[-1], device=x.device)
    return far.clamp(torch.finfo(x.dtype).min, torch.finfo(x.dtype).max)


def _check_rank(site: Location, whole: Tensor) -> None:
    if whole.ndim == RANK[site.position] and not whole.is_nested:
        return
    fitting = [name for name, rank in RANK.items() if rank == whole.ndim]
    remedy = f"use {' or '.join(fitting)}." if fitting else "probe another module."
    shape = f"shape {list(whole.shape)}" if not whole.is_nested else "a nested tensor"
    if whole.is_nested:
        remedy = "build nn.TransformerEncoder with enable_nested_tensor=False."
    raise InvalidInput(
        f"position {site.position!r} needs {LAYOUT[site.position]}, but {site.module!r} gives "
        f"{shape}.",
        field="position",
        remedy=remedy,
    )


def _batch_first(site: Location, module: nn.Module, whole: Tensor) -> Tensor:
    if site.position == "row":
        return whole
    expected = _batch_dim_of(module, site.place)
    if expected not in (None, site.batch_dim):
        raise InvalidInput(
            f"the cases of {site.module!r} ({type(module).__name__}, {list(whole.shape)}) are "
            f"dimension {expected}, not {site.batch_dim}.",
            field="batch_dim",
            remedy=f"set batch_dim={expected}.",
        )
    return whole.transpose(0, 1) if site.batch_dim else whole


def _batch_dim_of(module: nn.Module, place: Place) -> int | None:
    """Dimension of the cases in a rank-3 output of PyTorch's own modules; None: not known."""
    if isinstance(module, nn.RNNBase):
        states_at_the_end = bool(place) and place[0] in (1, -1)
        return 1 if states_at_the_end else int(not module.batch_first)
    if isinstance(module, _TRANSFORMERS):
        module = next(one for one in module.modules() if isinstance(one, nn.MultiheadAttention))
    if isinstance(module, nn.MultiheadAttention | nn.Transformer):
        return int(not module.batch_first)
    return None
