"""What can be told of a pass through a model with an open site, from its arguments and its answer.

A probe that reads another case's vector, or padding, looks like one that works. So the number of
vectors is compared with the number of cases; and where histories may be padded on the right, the
pass is tried again with other vectors, to see whether each of them is what its case goes on from.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from reclens.errors import InvalidInput
from reclens.probing.outputs import tensors_in

_trying = threading.local()
"""``by``: the `PassWatch` whose trial runs in this thread."""


def unwrapped(module: nn.Module) -> nn.Module:
    """What ``torch.compile`` and data parallelism wrap around."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


@contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Run what is compiled of ``model`` as it was written: compiled code calls no new hooks."""
    parts = list(model.modules())
    if any(hasattr(part, "_orig_mod") or part._compiled_call_impl is not None for part in parts):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


@contextmanager
def observed(module: nn.Module, hook: Callable[[nn.Module, Any, Any], Any]) -> Iterator[None]:
    """Call ``hook`` with the module's output, and go on with what it returns unless that is None.

    PyTorch's fused transformer layer, which has bits of its own, gives way to any hook; so this one
    is watched by its method.
    """
    if not _is_fused(module):
        with module.register_forward_hook(hook):
            yield
        return
    forward = module.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        changed = hook(module, args, output)
        return output if changed is None else changed

    module.forward = watched
    try:
        yield
    finally:
        module.forward = forward


class PassWatch:
    """The pass that is under way in an open block, one after another.

    Args:
        path: the model and the modules below it, down to the one that is probed.
        argument: name of the argument that is looked for in calls of these; None: none.
        watches_padding: whether what the modules are given is looked at for padding.

    Attributes:
        calls: of the module in this pass.
        argument: the value that was given.
        vectors: taken in this pass; None before.

    Raises:
        InvalidInput: none of the modules takes that argument.
    """

    def __init__(
        self, path: Sequence[nn.Module], argument: str | None, *, watches_padding: bool
    ) -> None:
        self._path = list(dict.fromkeys(path))
        self._root = self._path[0]
        self._name = argument
        self._told_by = self._taker(argument) if argument is not None else None
        self._watches_padding = watches_padding
        self._in_pass = False
        self._begin()

    def _begin(self) -> None:
        self.calls = 0
        self.argument: Any = None
        self.vectors: int | None = None
        self.batch_dim = 0
        self._given: list[Tensor] = []
        self._ids: list[tuple[Tensor, int]] = []
        self._suspected = False
        self._length = 0

    @contextmanager
    def hooks(self, missed: Callable[[], None], *, counts: bool) -> Iterator[None]:
        """Watch while the block runs.

        Args:
            missed: called after a pass in which no vectors were taken.
            counts: whether the number of vectors is compared with that of cases.
        """

        def note(module: nn.Module, args: Any, kwargs: Any) -> None:
            if self.others_trial or self.own_trial:
                return
            if module is self._root:
                self._begin()
                self._in_pass = True
            self._given += tensors_in([args, kwargs])
            if self._name is not None and module is self._told_by:
                bound = inspect.signature(module.forward).bind(*args, **kwargs)
                self.argument = bound.arguments.get(self._name)

        def note_ids(module: nn.Module, args: Any) -> None:
            if args and not (self.others_trial or self.own_trial):
                self._ids.append((args[0], module.padding_idx))  # type: ignore[arg-type]

        def end(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if self.others_trial or self.own_trial:
                return
            self._in_pass = False
            if self.vectors is None:
                missed()
            elif counts:
                self._check_cases(tensors_in([args, kwargs]), output)
            if self._suspected:
                self._try(args, kwargs, output)

        with ExitStack() as stack:
            for module in self._path:
                if _is_fused(module) and module not in (self._root, self._told_by):
                    continue  # see `observed`
                stack.enter_context(module.register_forward_pre_hook(note, with_kwargs=True))
            for module in self._root.modules() if self._watches_padding else ():
                if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                    stack.enter_context(module.register_forward_pre_hook(note_ids))
            stack.enter_context(self._root.register_forward_hook(end, with_kwargs=True))
            yield

    @property
    def own_trial(self) -> bool:
        """Whether this watch tries a pass again."""
        return getattr(_trying, "by", None) is self

    @property
    def others_trial(self) -> bool:
        """Whether another one does, for which nothing here is to be noted."""
        return getattr(_trying, "by", None) not in (None, self)

    def look_for_padding(self, batch: int, length: int) -> None:
        """See whether the last of ``length`` positions may be padding in some of ``batch`` rows.

        Raises:
            InvalidInput: it is, as far as can be told without the model's own call.
        """
        padded = any(_may_be_padded(ids, batch, length, no_id) for ids, no_id in self._ids)
        if padded and not self._in_pass:
            raise self._padding("some rows end in the index that pads them")
        self._length = length
        self._suspected = padded or any(
            _may_be_padded(given, batch, length, None) for given in self._given
        )

    def _taker(self, argument: str) -> nn.Module:
        takes = {
            module: list(inspect.signature(module.forward).parameters) for module in self._path
        }
        # The outermost: on the way down, what was given is changed into other forms.
        for module in self._path:
            if argument in takes[module]:
                return module
        listed = "; ".join(f"{type(one).__name__}: {', '.join(takes[one])}" for one in self._path)
        raise InvalidInput(
            f"no module from the model to the site takes an argument {argument!r}.",
            field="lengths",
            remedy=f"name one of theirs ({listed}), or give the values to `capture` or "
            "`intervene` as `lengths` or `mask`.",
        )

    def _check_cases(self, taken: list[Tensor], output: Any) -> None:
        """Compare the vectors with the first dimension of what the model takes and answers."""
        answers = [one for one in tensors_in(output) if one.ndim]
        known = [one.shape for one in (*taken[:1], *answers[:1]) if one.ndim]
        if not known:
            return
        # The cases of a model that counts positions first are its second dimension.
        fits = [self.vectors in shape[: 1 + self.batch_dim] for shape in known]
        turned = (
            len(known) > 1
            and not fits[1]
            and known[0][1:2] == known[1][:1]  # [length, batch] was taken, [batch, ...] answered
        )
        if any(fits) and not (turned and not self.batch_dim):
            return
        shapes = " and ".join(str(list(shape)) for shape in known)
        raise InvalidInput(
            f"the site gives {self.vectors} vectors, but the model takes or answers {shapes}.",
            field="batch_dim",
            remedy="set batch_dim=1 where the output is [length, batch, d_model] or a recurrent "
            "module's h_n [layers, batch, d_model]; where the number is right, pass it as `cases`.",
        )

    def _try(self, args: Any, kwargs: Any, output: Any) -> None:
        """Ask again with other vectors: a row that stays as it is does not depend on its own."""
        first = next(iter(tensors_in(output)), torch.empty(()))
        told = first.shape[:1] == (self.vectors,)
        # An answer at every position holds the last one's, whether or not anybody reads it.
        if self._root.training or not told or first.shape[1:2] == (self._length,):
            raise self._padding("some rows seem to be padded")
        _trying.by, self.calls = self, 0
        try:
            with torch.no_grad():
                again = tensors_in(self._root.forward(*args, **kwargs))[0]
        finally:
            del _trying.by
        same = (first.detach() == again).flatten(1).all(1)
        if bool(same.any()):
            row = int(same.int().argmax())
            raise self._padding(f"what the model answers in row {row} does not depend on it")

    def _padding(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"position 'last' may be padding: {why}.",
            field="position",
            remedy="where histories are padded on the right, name the argument of the model that "
            "tells: ProbeSite(..., lengths='NAME'), mask='NAME' (true at items) or "
            "padding_mask='NAME' (true at padding); or give `lengths` or `mask` to `capture` and "
            "`intervene`. Call eval() first.",
        )


def _is_fused(module: nn.Module) -> bool:
    return isinstance(module, nn.TransformerEncoderLayer) and not module._forward_hooks


def _may_be_padded(given: Tensor, batch: int, length: int, padding_id: int | None) -> bool:
    """Whether an argument looks as if some rows ended before the last position: as their lengths,
    as a mask, or as indices that end in a place holder."""
    if length < 2:
        return False
    if given.shape == (batch,) and not given.is_floating_point():
        return bool((given >= 0).all() and (given <= length).all() and (given < length).any())
    if given.shape == (length, batch) != (batch, length):
        given = given.T
    if given.shape != (batch, length):
        return False
    if given.is_floating_point() or given.dtype == torch.bool:
        two_valued = given.dtype == torch.bool or len(given.unique()) <= 2
        return two_valued and bool((given[:, 0] != given[:, -1]).any())
    empty = given == padding_id if padding_id is not None else (given == 0) | (given == -1)
    return bool((empty[:, -1] & ~empty.all(1)).any())
