"""A probe site: the one place at which a model is opened.

And one tensor within whatever a module returns there: found, and replaced by another.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

from jaxtyping import Float
from torch import Tensor, nn

from reclens.errors import InvalidInput

Position = Literal["last", "all", "row"]

_RANK: dict[str, int] = {"last": 3, "all": 3, "row": 2}
_LAYOUT: dict[str, str] = {
    "last": "[batch, length, d_model]",
    "all": "[batch, length, d_model]",
    "row": "[batch, d_model]",
}


class Captured:
    """What passed a site, detached from the graph and from the model's own memory."""

    def __init__(self, site: ProbeSite) -> None:
        self._site = site
        self._tensor: Tensor | None = None
        self.calls = 0
        """Times that the module was called."""

    @property
    def tensor(self) -> Float[Tensor, "batch *length d_model"]:
        """``[batch, d_model]``, or ``[batch, length, d_model]`` for position ``all``, of the most
        recent call.

        Raises:
            InvalidInput: the module has not been called.
        """
        if self._tensor is None:
            raise self._site.not_called()
        return self._tensor

    def store(self, x: Tensor) -> None:
        """Keep a copy of ``x``: a later in-place operation of the model must not reach it."""
        self._tensor = x.detach().clone()
        self.calls += 1


@dataclass(frozen=True)
class ProbeSite:
    """A place in any ``torch.nn.Module``, found by forward hook, so no model needs to know of it.

    The module's output is batch first. Sites may be used within one another: hooks see the output
    in the order in which the ``with`` blocks were entered, so a capture inside an intervention
    reads what the intervention wrote, and one around it reads the original.
    """

    module: str
    """Dotted path of a module, as in ``model.named_modules()``."""
    position: Position = "last"
    """``last`` and ``all`` of a ``[batch, length, d_model]`` output; ``row``: the output is
    ``[batch, d_model]``, one vector per case."""
    output: int | None = None
    """Place of the tensor where the module returns a tuple, list or mapping."""

    def __post_init__(self) -> None:
        if self.position not in _RANK:
            raise InvalidInput(
                f"unknown position {self.position!r}.",
                field="position",
                remedy=f"choose one of {', '.join(_RANK)}.",
            )

    def resolve(self, model: nn.Module) -> nn.Module:
        """The module of ``model`` that the path names.

        Raises:
            InvalidInput: there is none; the remedy lists the nearest names.
        """
        modules = dict(model.named_modules())
        if self.module in modules:
            return modules[self.module]
        names = [name for name in modules if name]
        near = difflib.get_close_matches(self.module, names, n=5, cutoff=0.4) or names[:10]
        raise InvalidInput(
            f"{type(model).__name__} has no module {self.module!r}.",
            field="module",
            remedy=f"perhaps one of: {', '.join(near) or '(it has no submodules)'}.",
        )

    @contextmanager
    def capture(self, model: nn.Module) -> Iterator[Captured]:
        """Read the site while the block runs ``model``.

        Yields:
            The record whose ``tensor`` holds the site's value after each pass.

        Raises:
            InvalidInput: the site does not fit the model.
        """
        captured = Captured(self)

        def read(_module: nn.Module, _args: Any, output: Any) -> None:
            captured.store(self._take(self._whole(output)))

        with self.resolve(model).register_forward_hook(read):
            yield captured

    @contextmanager
    def intervene(
        self,
        model: nn.Module,
        fn: Callable[
            [Float[Tensor, "batch *length d_model"]], Float[Tensor, "batch *length d_model"]
        ],
    ) -> Iterator[None]:
        """Write ``fn(x)`` back to the site while the block runs ``model``.

        Args:
            model: the model to open.
            fn: sees ``x`` as ``capture`` would report it and must not write into it. When it
                returns ``x`` itself, the module's own output object goes on untouched; otherwise
                the model goes on with a copy in which only this position differs.

        Raises:
            InvalidInput: the site does not fit the model, ``fn`` returns another shape, or the
                block ends without the module having been called: an answer that was meant to be
                changed never passes for one.
        """
        calls = 0

        def write(_module: nn.Module, _args: Any, output: Any) -> Any:
            nonlocal calls
            calls += 1
            whole = self._whole(output)
            x = self._take(whole)
            changed = fn(x)
            if changed is x:
                return None
            return replace_tensor(output, self.output, self._put(whole, x, changed))

        with self.resolve(model).register_forward_hook(write):
            yield
        if calls == 0:
            raise self.not_called()

    def not_called(self) -> InvalidInput:
        """The error for a pass that did not go through the site."""
        return InvalidInput(
            f"module {self.module!r} was not called.",
            field="module",
            remedy="run the model inside the `with` block, or probe a module on the path of its "
            "forward pass.",
        )

    def _whole(self, output: Any) -> Tensor:
        whole = select_tensor(output, self.output, self.module)
        if whole.ndim != _RANK[self.position]:
            fitting = [name for name, rank in _RANK.items() if rank == whole.ndim]
            raise InvalidInput(
                f"position {self.position!r} needs {_LAYOUT[self.position]}, but {self.module!r} "
                f"gives shape {list(whole.shape)}.",
                field="position",
                remedy=f"use {' or '.join(fitting)}." if fitting else "probe another module.",
            )
        return whole

    def _take(self, whole: Tensor) -> Tensor:
        return whole[:, -1] if self.position == "last" else whole

    def _put(self, whole: Tensor, x: Tensor, changed: Any) -> Tensor:
        if not isinstance(changed, Tensor) or changed.shape != x.shape:
            got = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise InvalidInput(
                f"the intervention must return a tensor of shape {list(x.shape)}, got {got}.",
                field="fn",
                remedy="return one vector for every vector received.",
            )
        changed = changed.to(whole)
        if self.position != "last":
            return changed
        written = whole.clone()
        written[:, -1] = changed
        return written


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
        if index is None:
            return output
        problem = f"{module!r} returns a single tensor, so it has no output {index}."
        remedy = "leave `output` out."
    elif not isinstance(output, tuple | list | Mapping):
        kind = type(output).__name__
        problem = f"{module!r} returns {kind}, which holds no tensor that can be named."
        remedy = "probe a module that returns a tensor, or a tuple, list or mapping of them."
    else:
        parts = list(cast("Any", output).values() if isinstance(output, Mapping) else output)
        tensors = [str(place) for place, part in enumerate(parts) if isinstance(part, Tensor)]
        places = ", ".join(tensors) or "(it holds no tensor)"
        if index is None:
            problem = f"{module!r} returns {len(parts)} values in a {type(output).__name__}."
            remedy = f"say which: {places}."
        elif -len(parts) <= index < len(parts) and isinstance(parts[index], Tensor):
            return parts[index]
        else:
            problem = f"output {index} of {module!r} is not a tensor."
            remedy = f"choose one of {places}."
    raise InvalidInput(problem, field="output", remedy=remedy)


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
