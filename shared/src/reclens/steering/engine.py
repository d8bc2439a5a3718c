"""Writes edited latents back into a representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from reclens.errors import InvalidInput
from reclens.steering.edits import LatentEdit, Mode, Operation, Unit, check_latents

_CANCELLED = 1e-6
"""Directions whose sum is shorter than this share of their lengths cancel each other."""


class Dictionary(Protocol):
    """What steering needs of a sparse autoencoder.

    Its codes have ``indices [batch, k]`` and ``values [batch, k]``; a value of 0 is padding.
    """

    @property
    def W_dec(self) -> Float[Tensor, "n_latents d_model"]: ...  # noqa: N802
    @property
    def input_scale(self) -> Float[Tensor, ""]: ...
    def encode(self, x: Float[Tensor, "batch d_model"], /) -> Any: ...
    def decode(self, codes: Any, /) -> Float[Tensor, "batch d_model"]: ...


@dataclass(frozen=True)
class IdleEdit:
    """An edit that changed nothing in any row."""

    index: int
    """Position in the list of edits."""
    reason: str
    """Why it changed nothing."""


@dataclass(frozen=True)
class Steered:
    """A representation with edits written into it, and the latents behind it."""

    x: Float[Tensor, "batch d_model"]
    """The edited representation; the same object as the input where nothing changed."""
    latents: Int[Tensor, " n_listed"]
    """Indices, rising, of the latents that fire or are edited in any row."""
    before: Float[Tensor, "batch n_listed"]
    """Their activations, untouched."""
    after: Float[Tensor, "batch n_listed"]
    """Their activations, edited."""
    idle: tuple[IdleEdit, ...]
    """Edits that changed nothing."""

    @property
    def changed(self) -> Bool[Tensor, "batch n_listed"]:
        """Which activations the edits changed."""
        return self.before != self.after


def steer(
    x: Float[Tensor, "batch d_model"],
    sae: Dictionary,
    p99: Float[Tensor, " n_latents"],
    edits: Sequence[LatentEdit],
    mode: Mode = Mode.RESIDUAL,
) -> Steered:
    """Apply ``edits`` to the latents of ``x`` and write the difference back.

    ``x' = x + scale * sum_j (z'_j - z_j) W_dec[j]`` over the edited latents j, so that whatever
    the dictionary does not explain of x stays as it is. Edits take effect in their order, each
    measured on the untouched activations: SET, SCALE and ABLATE replace what came before on the
    same latent, ADD accumulates. An ADD is not clipped at zero: the push is linear in its strength.

    Args:
        x: representations at the probe site.
        sae: dictionary trained on that site.
        p99: 99th percentile of each latent over its firing cases; 0 where it never fires.
        edits: changes to make.
        mode: whether the reconstruction error is kept.

    Raises:
        InvalidInput: an edit names a latent that the dictionary does not have.

    Source: docs/method.md, steering: ``x' = x + (dec(z') - dec(z))``.
    """
    if p99.shape != sae.W_dec.shape[:1]:
        raise InvalidInput(
            f"{tuple(p99.shape)} percentiles for {sae.W_dec.shape[0]} latents.",
            field="p99",
            remedy="use the latents table that was written with this autoencoder.",
        )
    check_latents(edits, sae.W_dec.shape[0])
    codes = sae.encode(x)
    touched = torch.tensor(
        sorted({latent for edit in edits for latent in edit.latents}),
        dtype=torch.int64,
        device=x.device,
    )
    latents = torch.unique(torch.cat([codes.indices.reshape(-1), touched]))
    before = x.new_zeros(x.shape[0], latents.shape[0])
    before.scatter_add_(1, torch.searchsorted(latents, codes.indices), codes.values.to(x.dtype))

    pushes = [_Push.of(edit, x, sae, p99, latents) for edit in edits]
    after = before
    for push in pushes:
        after = push.apply(after, before)
    idle = tuple(
        IdleEdit(index, reason)
        for index, push in enumerate(pushes)
        if (reason := push.idle_reason(before, [later.edit for later in pushes[index + 1 :]]))
    )

    base = sae.decode(codes) if mode is Mode.RECONSTRUCT else x
    columns = torch.searchsorted(latents, touched)
    shift = (after - before)[:, columns]
    if bool((shift != 0).any()):
        moved = base + sae.input_scale * (shift @ sae.W_dec[touched].to(x))
        # Rows without a change keep their bits: adding 0 would turn -0 into 0.
        base = torch.where((shift != 0).any(dim=1, keepdim=True), moved, base)
    return Steered(x=base, latents=latents, before=before, after=after, idle=idle)


@dataclass(frozen=True)
class _Push:
    """An edit with its latents' columns and, for ADD, the amount for each row."""

    edit: LatentEdit
    columns: Int[Tensor, " n_edited"]
    target: Float[Tensor, " n_edited"]
    amount: Float[Tensor, "batch n_edited"]

    @classmethod
    def of(
        cls, edit: LatentEdit, x: Tensor, sae: Dictionary, p99: Tensor, latents: Tensor
    ) -> _Push:
        indices = torch.tensor(edit.latents, dtype=torch.int64, device=x.device)
        units = p99[indices].to(x)
        columns = torch.searchsorted(latents, indices)
        amount = x.new_zeros(x.shape[0], len(edit.latents))
        target = edit.strength * units if edit.operation is Operation.SET else 0 * units
        if edit.operation is Operation.ADD:
            proportions = units * torch.tensor(edit.weights, dtype=x.dtype, device=x.device)
            if edit.unit is Unit.P99:
                amount = (edit.strength * proportions).expand_as(amount)
            else:
                rows = sae.W_dec[indices].to(x)
                direction = sae.input_scale * (proportions @ rows)
                length = direction.norm()
                lengths = sae.input_scale.abs() * (proportions.abs() @ rows.norm(dim=1))
                if bool(length > _CANCELLED * lengths):
                    step = edit.strength * x.norm(dim=1, keepdim=True) / length
                    amount = step * proportions
        return cls(edit, columns, target, amount)

    def apply(self, current: Tensor, untouched: Tensor) -> Tensor:
        result = current.clone()
        match self.edit.operation:
            case Operation.SET:
                result[:, self.columns] = self.target.expand_as(self.amount)
            case Operation.SCALE:
                result[:, self.columns] = self.edit.strength * untouched[:, self.columns]
            case Operation.ADD:
                result[:, self.columns] += self.amount
            case Operation.ABLATE:
                result[:, self.columns] = 0
        return result

    def idle_reason(self, untouched: Tensor, later: Sequence[LatentEdit]) -> str:
        """Why the edit changes nothing; empty where it does."""
        replaced = {latent for edit in later if edit.replaces for latent in edit.latents}
        if replaced.issuperset(self.edit.latents):
            return "later edits replace it on every latent"
        if not torch.equal(self.apply(untouched, untouched), untouched):
            return ""
        return _IDLE_REASONS.get(
            (self.edit.operation, self.edit.strength),
            "its latents do not fire here"
            if self.edit.operation in {Operation.SCALE, Operation.ABLATE}
            else "the push is nil: its latents never fired in the captured data, their directions "
            "cancel, or the representation is zero",
        )


_IDLE_REASONS = {
    (Operation.SCALE, 1.0): "scaling by 1 changes nothing",
    (Operation.ADD, 0.0): "adding 0 changes nothing",
    (Operation.SET, 0.0): "its latents are silent already",
}
