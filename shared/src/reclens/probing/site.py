"""A probe site: the one place at which a model is opened."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from reclens.errors import InvalidInput
from reclens.probing.outputs import Place
from reclens.probing.passes import PassWatch, observed, uncompiled, unwrapped
from reclens.probing.vectors import (
    LAYOUT,
    RANK,
    Vectors,
    last_items,
    moved,
    refuse_not_finite,
    take_vectors,
    write_vectors,
)

Position = Literal["last", "all", "row"]

_ENDS = ("lengths", "mask", "padding_mask")


class Captured:
    """What passed a site, detached from the graph and from the model's own memory."""

    def __init__(self, site: ProbeSite) -> None:
        self._site = site
        self._tensor: Tensor | None = None
        self.calls = 0
        """Times that the module was called, or the call that the site names."""

    @property
    def tensor(self) -> Float[Tensor, "batch *length d_model"]:
        """``[batch, d_model]``, or ``[batch, length, d_model]`` for position ``all``, of the most
        recent pass, in the model's dtype and on its device.

        Raises:
            InvalidInput: the module has not been called, or a number is not finite.
        """
        return self.finite(lambda row: f"case {row}")

    def finite(self, name: Callable[[int], str]) -> Float[Tensor, "batch *length d_model"]:
        """The same; ``name`` tells what a row is called where it is not finite."""
        if self._tensor is None:
            raise self._site.not_called()
        refuse_not_finite(self._tensor, name, self._site.module)
        return self._tensor

    def forget(self) -> None:
        """After a pass that did not go through the site: what is kept is of an earlier one."""
        self._tensor = None

    def store(self, x: Tensor) -> None:
        """Keep a copy of ``x``: a later in-place operation of the model must not reach it."""
        self._tensor = x.detach().clone()
        self.calls += 1


@dataclass(frozen=True)
class ProbeSite:
    """A place in any ``torch.nn.Module``, found by forward hook, so no model needs to know of it.

    Sites may be used within one another: hooks see the output in the order in which the ``with``
    blocks were entered, so a capture inside an intervention reads what the intervention wrote, and
    one around it reads the original. A compiled model runs uncompiled while a block is open.

    One vector must stand for each case, and be the one that the model goes on with. What can be
    told of that from a pass is checked; where it cannot be told, an option says it.
    """

    module: str
    """Dotted path of a module, as in ``model.named_modules()``, without the parts that
    ``torch.compile`` and data parallelism put into it."""
    position: Position = "last"
    """``last`` and ``all`` of a ``[batch, length, d_model]`` output; ``row``: the output is
    ``[batch, d_model]``, one vector per case."""
    output: int | tuple[int, ...] | None = None
    """Place of the tensor where the module returns a tuple, list or mapping: 0 is the output of an
    ``nn.LSTM``, (1, 0) its ``h_n``. Packed sequences are read at the end of each."""
    batch_dim: int = 0
    """Dimension of the cases: 1 where the output is sequence-first, ``[length, batch, d_model]``,
    or a recurrent module's ``h_n`` ``[layers, batch, d_model]``, of which ``last`` is the last
    layer's."""
    call: int | None = None
    """Which call, from 0, of a module that the model calls several times in one pass."""
    lengths: str | None = None
    """For ``last`` of histories that are padded on the right: argument of the model, or of a module
    between it and the site, that holds the length of each."""
    mask: str | None = None
    """The same, where the argument is true, or not 0, at items: a mask, or indices padded by 0."""
    padding_mask: str | None = None
    """The same, where it is true at padding."""

    def __post_init__(self) -> None:
        if isinstance(self.output, list):  # as specifications have it
            object.__setattr__(self, "output", tuple(self.output))
        ends = [name for name in _ENDS if getattr(self, name) is not None]
        for wrong, field, problem, remedy in (
            (
                self.position not in RANK,
                "position",
                f"unknown position {self.position!r}.",
                f"choose one of {', '.join(RANK)}.",
            ),
            (
                self.batch_dim not in (0, 1) or (self.batch_dim and self.position == "row"),
                "batch_dim",
                f"batch_dim {self.batch_dim} of position {self.position!r}.",
                "use 0, or for `last` and `all` 1.",
            ),
            (
                self.call is not None and self.call < 0,
                "call",
                "calls count from 0.",
                "give the number of the call from the first.",
            ),
            (
                len(ends) > 1 or (ends and self.position != "last"),
                ends[-1] if ends else "",
                f"{' and '.join(ends)} of position {self.position!r}.",
                "give one of them, with position 'last'.",
            ),
        ):
            if wrong:
                raise InvalidInput(problem, field=field, remedy=remedy)

    @property
    def place(self) -> Place:
        """``output``, as a path; empty where the module returns the tensor itself."""
        output = self.output
        return () if output is None else (output,) if isinstance(output, int) else output

    def resolve(self, model: nn.Module) -> nn.Module:
        """The module of ``model`` that the path names.

        Raises:
            InvalidInput: there is none; the remedy lists the nearest names.
        """
        return self._path(model)[-1]

    @contextmanager
    def capture(
        self,
        model: nn.Module,
        *,
        cases: int | None = None,
        lengths: Any = None,
        mask: Any = None,
    ) -> Iterator[Captured]:
        """Read the site while the block runs ``model``.

        Args:
            model: the model to open.
            cases: how many vectors a pass must give. None: as many as the first dimension of what
                the model takes or answers.
            lengths: for ``last``, the length of each history [batch], where no argument tells it.
            mask: the same, true at items [batch, length].

        Yields:
            The record whose ``tensor`` holds the site's value after each pass.

        Raises:
            InvalidInput: the site does not fit the model, its number of vectors is not that of
                cases, the module is called several times, or a vector may be padding.
        """
        captured = Captured(self)

        def read(found: Vectors, _output: Any) -> None:
            captured.store(found.x)

        with self._open(model, read, captured.forget, (cases, lengths, mask)):
            yield captured

    @contextmanager
    def intervene(
        self,
        model: nn.Module,
        fn: Callable[
            [Float[Tensor, "batch *length d_model"]], Float[Tensor, "batch *length d_model"]
        ],
        *,
        cases: int | None = None,
        lengths: Any = None,
        mask: Any = None,
    ) -> Iterator[None]:
        """Write ``fn(x)`` back to the site while the block runs ``model``.

        Args:
            model: the model to open.
            fn: sees ``x`` as ``capture`` would report it and must not write into it. When it
                returns ``x`` itself, the module's own output object goes on untouched; otherwise
                the model goes on with a copy in which only this position differs, in the model's
                dtype and on its device.
            cases: as for `capture`.
            lengths: as for `capture`.
            mask: as for `capture`.

        Raises:
            InvalidInput: as `capture`; also where ``fn`` returns another shape, or a pass or the
                block ends without the module having been called: an answer that was meant to be
                changed never passes for one.
        """

        def write(found: Vectors, output: Any) -> Any:
            x = found.x
            version = None if x.is_inference() else x._version
            changed = fn(x)
            # What was written into in place may be a copy that nobody else sees; in inference mode
            # that cannot be told, and to write the same back changes no bit.
            untouched = found.ends is None if version is None else x._version == version
            if changed is x and untouched:
                return None
            return write_vectors(self, output, found, changed)

        def missed() -> None:
            raise self.not_called()

        with self._open(model, write, missed, (cases, lengths, mask), writes=True) as handled:
            yield
        if not handled():
            raise self.not_called()

    def not_called(self) -> InvalidInput:
        """The error for a pass that did not go through the site."""
        which = "" if self.call is None else f" {self.call + 1} times"
        return InvalidInput(
            f"module {self.module!r} was not called{which}.",
            field="module" if self.call is None else "call",
            remedy="run the model inside the `with` block, or probe a module on the path of its "
            "forward pass.",
        )

    # --- one block -------------------------------------------------------------------------------

    @contextmanager
    def _open(
        self,
        model: nn.Module,
        handle: Callable[[Vectors, Any], Any],
        missed: Callable[[], None],
        given: tuple[int | None, Any, Any],
        *,
        writes: bool = False,
    ) -> Iterator[Callable[[], bool]]:
        """Hand what passes the site to ``handle``, and call ``missed`` after a pass without it.

        Yields:
            Whether anything has passed.
        """
        path, (cases, lengths, mask) = self._path(model), given
        argument = None
        if lengths is None and mask is None:
            argument = self.lengths or self.mask or self.padding_mask
        watch = PassWatch(path, argument, watches_padding=self.position == "last" and not argument)
        handled = False

        def hook(module: nn.Module, _args: Any, output: Any) -> Any:
            nonlocal handled
            if watch.others_trial:
                # Of another site, which must see what is written here, and nothing more.
                return handle(take_vectors(self, module, output, None), output) if writes else None
            watch.calls += 1
            if watch.calls - 1 != (self.call or 0):
                if self.call is None:
                    raise self._called_again(watch.calls)
                return None
            ends = (
                last_items(
                    watch.argument, of_mask=not self.lengths, inverted=bool(self.padding_mask)
                )
                if argument is not None
                else last_items(lengths if mask is None else mask, of_mask=mask is not None)
            )
            found = take_vectors(self, module, output, ends)
            if watch.own_trial:
                return write_vectors(self, output, found, moved(found.x))
            watch.vectors, watch.batch_dim = len(found.x), self.batch_dim
            if cases is not None and len(found.x) != cases:
                raise self._other_number(found, cases)
            if self.position == "last" and found.ends is None:
                watch.look_for_padding(*found.whole.shape[:2])
            handled = True
            return handle(found, output)

        with (
            uncompiled(model),
            observed(path[-1], hook),
            watch.hooks(missed, counts=cases is None),
        ):
            yield lambda: handled

    def _path(self, model: nn.Module) -> list[nn.Module]:
        """The model, the modules below it, and the one that the path names, all unwrapped."""
        if isinstance(model, nn.DataParallel) and len(model.device_ids) > 1:
            raise InvalidInput(
                f"nn.DataParallel spreads the cases over {len(model.device_ids)} devices.",
                field="model",
                remedy="open the model that it wraps: `model.module`.",
            )
        module, path = model, [unwrapped(model)]
        for part in filter(None, self.module.split(".")):
            # A path may also name what is put around a module.
            inner = getattr(module, part, None)
            module = inner if isinstance(inner, nn.Module) else getattr(path[-1], part, None)
            if not isinstance(module, nn.Module):
                raise self._no_module(model)
            path.append(unwrapped(module))
        return path

    def _no_module(self, model: nn.Module) -> InvalidInput:
        modules = unwrapped(model).named_modules()
        names = [name.replace("._orig_mod", "") for name, _ in modules if name]
        near = difflib.get_close_matches(self.module, names, n=5, cutoff=0.4) or names[:10]
        return InvalidInput(
            f"{type(model).__name__} has no module {self.module!r}.",
            field="module",
            remedy=f"perhaps one of: {', '.join(near) or '(it has no submodules)'}.",
        )

    def _called_again(self, calls: int) -> InvalidInput:
        return InvalidInput(
            f"module {self.module!r} was called {calls} times in one pass.",
            field="call",
            remedy="say which: ProbeSite(..., call=0) is the first. Where each was a pass of its "
            "own, call the model itself, or open one block for each.",
        )

    def _other_number(self, found: Vectors, cases: int) -> InvalidInput:
        return InvalidInput(
            f"the site gives {len(found.x)} vectors for {cases} cases: {self.module!r} gives "
            f"{list(found.whole.shape)}, read as {LAYOUT[self.position]}.",
            field="site.module",
            remedy="probe a module that gives one vector per case; set batch_dim=1 where its "
            "output is [length, batch, d_model] or h_n [layers, batch, d_model].",
        )
