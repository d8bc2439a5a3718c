"""A second device without one: tensors that say they live elsewhere, with real numbers inside.

A CPU build of PyTorch cannot differentiate tensors that claim to be CUDA's, so these claim to be
``meta``'s. What counts holds all the same: they refuse to be mixed with tensors of the CPU as those
of a GPU would, the code takes the paths that it takes off the CPU, and every point at which the
host would have to wait for the device is noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
"""What the pretended device is called."""

_aten = torch.ops.aten
# A GPU's tensor may be indexed by the CPU's, and be copied from and to.
_MIXING = {"copy_", "index", "index_put", "index_put_", "_index_put_impl_", "_to_copy"}
_WAITING = {
    "_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2",
    "unique_dim", "unique_consecutive", "bincount", "repeat_interleave",
}  # fmt: skip
NOT_DETERMINISTIC_ON_CUDA = {
    "index_add", "index_add_", "scatter_add", "scatter_add_", "scatter_reduce", "put_", "cumsum",
    "kthvalue", "histc", "bincount", "_embedding_bag_dense_backward",
    "_embedding_bag_per_sample_weights_backward", "index_copy", "median",
    "_scaled_dot_product_efficient_attention_backward",
    "_scaled_dot_product_flash_attention_backward",
}  # fmt: skip
"""Sums whose order CUDA leaves open, by the documentation of ``use_deterministic_algorithms``."""


class PretendTensor(Tensor):
    """A tensor of the pretended device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> PretendTensor:
        # A sparse matrix is only ever multiplied, so that its layout need not show.
        dense = inner.layout == torch.strided
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.shape,
            strides=inner.stride() if dense else None,
            dtype=inner.dtype,
            device=DEVICE,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self, **_: Any) -> str:
        return f"PretendTensor({self.inner})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert a tensor of the pretended device to numpy.")

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {}, PretendDevice())


class PretendDevice(TorchDispatchMode):
    """Makes and runs tensors of the pretended device while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        """How often the host waited for the device, by operation."""
        self.operations: set[str] = set()
        """What was computed there."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {}, self)


def _run(func: Any, args: Any, kwargs: dict[str, Any], device: PretendDevice) -> Any:
    name = func._schema.name.removeprefix("aten::")
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = any(isinstance(tensor, PretendTensor) for tensor in tensors)
    asked = kwargs.get("device")
    makes_there = there if asked is None else torch.device(asked) == DEVICE
    if there:
        _note(name, args, device, leaves=not makes_there)
        strangers = [t for t in tensors if not isinstance(t, PretendTensor) and t.ndim]
        if strangers and name not in _MIXING:
            raise RuntimeError(f"{name}: tensors of two devices, {[t.shape for t in tensors]}")
    inner_args, inner_kwargs = tree_map(_inner, (args, kwargs))
    if asked is not None:
        inner_kwargs["device"] = torch.device("cpu")
    out = func(*inner_args, **inner_kwargs)
    # A copy to the CPU of what is there already is still another tensor.
    if not makes_there or (name == "copy_" and not isinstance(args[0], PretendTensor)):
        return out
    out = tree_map(_there, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if there else out


def _note(name: str, args: Any, device: PretendDevice, *, leaves: bool) -> None:
    device.operations.add(name)
    by_mask = name.startswith("index") and any(
        isinstance(index, Tensor) and index.dtype == torch.bool for index in tree_leaves(args[1:2])
    )
    to_host = name == "copy_" and not isinstance(args[0], PretendTensor)
    if name in _WAITING or by_mask or to_host or leaves:
        device.waits[name] += 1


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, PretendTensor) else x


def _there(x: Any) -> Any:
    return PretendTensor(x) if isinstance(x, Tensor) and not isinstance(x, PretendTensor) else x


class _FromNumbers(TorchFunctionMode):
    """Numbers of Python go there as a GPU's do: to the CPU first, then in one copy."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in {torch.tensor, torch.as_tensor} and kwargs.get("device") == DEVICE:
            return func(*args, **{**kwargs, "device": None}).to(DEVICE)
        return func(*args, **kwargs)


@contextmanager
def pretend_device() -> Iterator[PretendDevice]:
    """The pretended device, usable within the block under the name `DEVICE`."""
    with _FromNumbers(), PretendDevice() as device:
        yield device
