"""The step: signs of gradients, with an average over the path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reclens.sae.cpu.selection import compiled_kernels

AVERAGE_SHARE = 0.8
"""Where gradients are taken: so much of the average, the rest of the last point."""
_RECENCY = 2.0
"""The average weighs step t by ``t`` to this power."""


class ParameterState(NamedTuple):
    """A parameter that the optimizer moves, and how."""

    name: str
    """Its name in the model."""
    parameter: nn.Parameter
    """Vector or matrix."""
    factor: float = 1.0
    """How many times the common step size it takes."""
    unit_rows: bool = False
    """Whether its rows have unit length, before and after every step."""


class AveragedSignDescent:
    """``z ← z - lr · sign(∇L(y))``, ``x ← average of z``, ``y = (1 - β) z + β x``.

    Each latent fires for few activations, so the size of its gradient says how often it fired, not
    how far it is off; the sign forgets that, the average takes out the noise that the sign brings.
    On activations of a trained recommender it leaves a third to a half of the variance unexplained
    that Adam does in as many steps (docs/decisions/0006), and it needs no second moments.

    While training, the parameters hold ``y``. `finish` makes them ``x``, the result. Where rows
    have unit length, the part of the gradient along a row, which would only change its length, is
    left out, and the length of ``y`` and of the result is restored.

    Source: sign descent arXiv 1802.04434; averaging in place of momentum arXiv 2405.15682,
    equations 3 to 5, with weights ``t² lr²``.
    """

    def __init__(self, parameters: Iterable[ParameterState]) -> None:
        self._parameters = list(parameters)
        self._last = {p.name: p.parameter.detach().clone() for p in self._parameters}
        self._average = {p.name: p.parameter.detach().clone() for p in self._parameters}
        self._steps = 0
        self._weight = 0.0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Use the gradients, and drop them."""
        self._steps += 1
        weight = self._steps**_RECENCY * learning_rate**2
        self._weight += weight
        share = weight / self._weight if self._weight else 1.0
        for moved in self._parameters:
            if moved.parameter.grad is not None:
                self._move(moved, learning_rate * moved.factor, share)
                moved.parameter.grad = None

    def _move(self, moved: ParameterState, rate: float, share: float) -> None:
        name, parameter, _, unit_rows = moved
        last, average = self._last[name], self._average[name]
        gradient = parameter.grad
        assert gradient is not None
        kernels = compiled_kernels(parameter.device)
        if kernels is not None:
            kernels.use_threads()
            kernels.step_loops.descend(
                *map(kernels.in_place, (gradient, parameter, last, average)),
                *map(np.float32, (rate, share, AVERAGE_SHARE)),
                unit_rows,
            )
            return
        if unit_rows:
            along = torch.linalg.vecdot(gradient, parameter)
            gradient.addcmul_(parameter, along[:, None], value=-1)
        last.add_(gradient.sign_(), alpha=-rate)
        average.lerp_(last, share)
        torch.lerp(last, average, AVERAGE_SHARE, out=parameter.data)
        if unit_rows:
            functional.normalize(parameter, dim=1, out=parameter.data)

    @torch.no_grad()
    def finish(self) -> None:
        """Make the parameters the average."""
        for name, parameter, _, unit_rows in self._parameters:
            average = self._average[name]
            parameter.copy_(functional.normalize(average, dim=1) if unit_rows else average)

    def state(self) -> tuple[dict[str, Tensor], list[float]]:
        """Tensors and numbers that the next steps depend on."""
        tensors = {f"path.last.{name}": value for name, value in self._last.items()}
        tensors |= {f"path.average.{name}": value for name, value in self._average.items()}
        return tensors, [self._steps, self._weight]

    def restore(self, tensors: dict[str, Tensor], numbers: list[float]) -> None:
        """Take up a state of `state`; other tensors are left alone."""
        for name in self._last:
            # Copied in place: sums run over memory, so the layout has to stay the parameter's.
            self._last[name].copy_(tensors[f"path.last.{name}"])
            self._average[name].copy_(tensors[f"path.average.{name}"])
        self._steps, self._weight = int(numbers[0]), numbers[1]
