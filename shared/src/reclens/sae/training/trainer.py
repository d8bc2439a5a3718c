"""Training of an autoencoder, step by step, that can be cut anywhere and taken up again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reclens.contracts import AutoencoderConfig, Progress
from reclens.device import resolve_device
from reclens.errors import InvalidInput
from reclens.sae.activations.batches import ShuffledBatches
from reclens.sae.activations.moments import Moments, RowSample
from reclens.sae.activations.sources import ActivationSource, RowShare, as_source, load_shard
from reclens.sae.analysis.metrics import AutoencoderReport, report
from reclens.sae.architectures.base import SparseAutoencoder
from reclens.sae.architectures.closed_form import ClosedFormAutoencoder
from reclens.sae.architectures.fused import offers_fused_training
from reclens.sae.architectures.losses import PredictionTerm, Scorer
from reclens.sae.architectures.registry import architecture, build_autoencoder
from reclens.sae.cpu.selection import compiled_kernels
from reclens.sae.training.dense import DenseDifferentiation, Differentiation, TrainingBatch
from reclens.sae.training.optimizer import AveragedSignDescent, ParameterState

HELD_OUT_SHARE = 0.1
"""Share of the rows that is not trained on where no held-out activations are given."""
METRICS: tuple[str, ...] = ("loss", "fvu", "l0", "dead_fraction")
"""What a step tells, in this order."""
READ_EVERY = 50
"""Steps whose figures are read together on an accelerator: reading waits until it has caught up."""
CALIBRATION_BATCHES = 200
"""Training batches that thresholds are fitted to at the end, at most."""
CURVE_POINTS = 200
"""Points of the training curve at most."""


class AutoencoderTrainer:
    """Trains on a source of activations: one pass to measure them, then ``n_epochs`` to learn.

    Args:
        source: the activations.
        config: architecture and training.
        scorer: the recommender's prediction layer, for ``config.prediction_coefficient``.
        device: where to train.
        compiled: whether ``torch.compile`` compiles dense steps.

    Attributes:
        sae: the autoencoder; there once the data are measured.
        total_steps: steps in all.
        activations_seen: activations trained on so far.
        curve: rows of step, loss and training FVU, each the mean since the row before.
    """

    def __init__(
        self,
        source: ActivationSource,
        config: AutoencoderConfig,
        scorer: Scorer | None = None,
        *,
        device: torch.device | str = "cpu",
        compiled: bool = False,
    ) -> None:
        if config.prediction_coefficient and scorer is None:
            raise InvalidInput(
                "the prediction-aware term needs the recommender's prediction layer.",
                field="scorer",
                remedy="pass its item weights and biases, or set prediction_coefficient to 0.",
            )
        self._source = source
        self._config = config
        self._scorer = scorer
        self._device = torch.device(device)
        self._compiled = compiled
        self._unread: list[Tensor] = []
        self._metrics: dict[str, float] = {}
        self._rows: list[int] = []
        self._step = 0
        self.total_steps = 0
        self.activations_seen = 0
        self.curve: list[list[float]] = []
        self._sums = [0.0, 0.0, 0.0]
        self._sae: SparseAutoencoder | None = None
        self._scales: Tensor | None = None

    @property
    def sae(self) -> SparseAutoencoder:
        """The autoencoder.

        Raises:
            InvalidInput: no step has been made yet.
        """
        if self._sae is None:
            raise InvalidInput(
                "the trainer has not begun.", field="sae", remedy="run `steps()` to its end first."
            )
        return self._sae

    def steps(self) -> Iterator[Progress]:
        """Train to the end. Between two yields `state` is valid.

        Raises:
            InvalidInput: the data are empty, constant, of another width, or not finite, or the
                training diverges.
        """
        if self._sae is None:
            yield from self._measure()
        sae = self.sae
        sae.train().requires_grad_(True)
        # `from_step` draws every order anew from seed and epoch; see ShuffledBatches.
        for x in self._batches.from_step(self._step, self._n_epochs):
            metrics = self._train_on(x)
            yield Progress(stage="train", step=self._step, total=self.total_steps, metrics=metrics)
        if self._step or self._scales is not None:
            self._optimizer.finish()
        if self._step:
            sae.calibrate(islice(self._batches.from_step(0, 1), CALIBRATION_BATCHES))
        if self._scales is not None:
            # Into the optimizer's average, which knows nothing of it: never twice.
            sae.fold_scales(self._scales)
        sae.eval().requires_grad_(False)

    # --- preparation -----------------------------------------------------------------------------

    def _measure(self) -> Iterator[Progress]:
        fitted = issubclass(architecture(self._config.kind), ClosedFormAutoencoder)
        robust = self._config.normalisation == "robust"
        if fitted and robust:
            raise InvalidInput(
                f"the dictionary {self._config.kind!r} is of the activations as they are.",
                field="normalisation",
                remedy="leave it at `rms`.",
            )
        moments, rows = Moments(with_covariance=fitted), []
        sample = RowSample(len(self._source))
        d_model = self._config.d_model
        for i in range(len(self._source)):
            x = load_shard(self._source, i, d_model)
            d_model = x.shape[1]
            moments.update(x)
            if robust:
                sample.update(x)
            rows.append(len(x))
            yield Progress(stage="measure", step=i + 1, total=len(self._source), unit="shards")
        if d_model is None or not moments.count:
            raise InvalidInput(
                "there are no activations to train on.",
                field="x",
                remedy="pass at least two different rows.",
            )
        if not moments.variance > 0 or not np.isfinite(moments.variance):
            raise InvalidInput(
                f"all {moments.count} activations are the same"
                if moments.variance == 0
                else "the variance of the activations is not finite",
                field="x",
                remedy="check the probe site: a working site gives another vector for each case.",
            )
        sae = build_autoencoder(self._config, d_model)
        sae.input_mean.copy_(torch.from_numpy(moments.mean))
        sae.input_scale.fill_((moments.variance / d_model) ** 0.5)
        if isinstance(sae, ClosedFormAutoencoder):
            sae.fit(moments.scatter * (d_model / moments.deviation))
        if robust:
            median, scales = sample.robust_scale()
            sae.input_mean.copy_(torch.from_numpy(median))
            self._scales = torch.from_numpy(scales).float().to(self._device)
        self._begin(sae, rows, torch.zeros(sae.n_latents, dtype=torch.int64))

    def _begin(self, sae: SparseAutoencoder, rows: list[int], silent_for: Tensor) -> None:
        self._sae = sae.to(self._device)
        self._rows = rows
        self._silent_for = silent_for.to(self._device)
        self._optimizer = AveragedSignDescent(
            ParameterState(name, parameter, sae.learning_rate_factor(name), name == "W_dec")
            for name, parameter in sae.named_parameters()
        )
        self._batches = ShuffledBatches(
            self._source,
            rows,
            mean=sae.input_mean.cpu().numpy(),
            scale=(sae.input_scale if self._scales is None else self._scales).cpu().numpy(),
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            device=self._device,
        )
        self._n_epochs = 0 if isinstance(sae, ClosedFormAutoencoder) else self._config.n_epochs
        self.total_steps = self._batches.per_epoch * self._n_epochs
        self._differentiate = self._differentiation(sae)
        self._read_every = 1 if self._device.type == "cpu" else READ_EVERY

    def _differentiation(self, sae: SparseAutoencoder) -> Differentiation:
        config, prediction = self._config, None
        if self._scorer is not None and config.prediction_coefficient:
            prediction = PredictionTerm(
                self._scorer,
                sae.input_mean,
                sae.input_scale if self._scales is None else self._scales,
                n_items=config.prediction_items,
                seed=config.seed,
            )
        if (
            config.precision == "float32"
            and offers_fused_training(sae)
            and compiled_kernels(self._device) is not None
        ):
            from reclens.sae.training.fused import FusedDifferentiation  # noqa: PLC0415 - numba

            return FusedDifferentiation(sae, prediction)
        return DenseDifferentiation(sae, prediction, compiled=self._compiled)

    # --- one step --------------------------------------------------------------------------------

    def _train_on(self, x: Tensor) -> dict[str, float]:
        dead = self._silent_for >= self._config.dead_after
        progress = self._step / self.total_steps
        metrics, fired = self._differentiate(TrainingBatch(x, dead, self._step, progress))
        self._optimizer.step(self._learning_rate())
        self._silent_for += len(x)
        self._silent_for.masked_fill_(fired, 0)
        dead_fraction = dead.sum(dtype=metrics.dtype) / len(dead)
        self._unread.append(torch.cat([metrics, dead_fraction[None]]))
        self._step += 1
        self.activations_seen += len(x)
        # The first one soon, so that progress has figures from the start.
        if self._step % self._read_every in {0, 1} or self._step == self.total_steps:
            self._read_metrics()
        return self._metrics

    def _read_metrics(self) -> None:
        """Take in the figures of the steps since the last reading; waits for the device once."""
        if not self._unread:
            return
        rows = torch.stack(self._unread).tolist()
        for step, row in enumerate(rows, self._step - len(rows) + 1):
            self._metrics = dict(zip(METRICS, row, strict=True))
            if not math.isfinite(self._metrics["loss"]):
                raise InvalidInput(
                    f"training diverged at step {step}: the loss is {self._metrics['loss']}.",
                    field="learning_rate",
                    remedy=f"set it below {self._config.peak_learning_rate:.2g}.",
                )
            self._record(self._metrics["loss"], self._metrics["fvu"], step)
        self._unread.clear()

    def _learning_rate(self) -> float:
        config, total = self._config, self.total_steps
        rise = (self._step + 1) / max(1.0, config.warmup_share * total)
        fall = (total - self._step) / max(1.0, config.decay_share * total)
        return config.peak_learning_rate * min(1.0, rise, fall)

    def _record(self, loss: float, unexplained: float, step: int) -> None:
        self._sums = [self._sums[0] + 1, self._sums[1] + loss, self._sums[2] + unexplained]
        stride = -(-self.total_steps // CURVE_POINTS)
        if step % stride == 0 or step == self.total_steps:
            count, loss_sum, fvu_sum = self._sums
            self.curve.append([step, loss_sum / count, fvu_sum / count])
            self._sums = [0.0, 0.0, 0.0]

    # --- interruption ----------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything that the remaining steps depend on, apart from the data; on the CPU.

        Random orders follow from the seed and the step, so no generator is in it.
        """
        meta: dict[str, Any] = {"config": self._config.canonical(), "step": self._step}
        if self._sae is None:
            return {}, meta
        self._read_metrics()
        tensors = {f"sae.{name}": value for name, value in self._sae.state_dict().items()}
        tensors["silent_for"] = self._silent_for
        if self._scales is not None:
            tensors["scales"] = self._scales
        path, numbers = self._optimizer.state()
        tensors |= path
        meta |= {
            "path": numbers,
            "rows": self._rows,
            "activations_seen": self.activations_seen,
            "curve": [list(point) for point in self.curve],
            "sums": self._sums,
        }
        return {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}, meta

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Take up a state of `state`, whatever device it comes from.

        On the same kind of device what follows equals an uninterrupted run, byte for byte.

        Raises:
            InvalidInput: the state belongs to another configuration or other data.
        """
        if meta["config"] != self._config.canonical():
            raise _foreign("another configuration", "config")
        if not tensors:
            return
        if len(meta["rows"]) != len(self._source):
            raise _foreign(f"data of {len(meta['rows'])} shards, not {len(self._source)}", "rows")
        loaded = {name: torch.from_numpy(value.copy()) for name, value in tensors.items()}
        sae = build_autoencoder(self._config, len(loaded["sae.b_dec"]))
        sae.load_state_dict({name: loaded[f"sae.{name}"] for name in sae.state_dict()})
        self._scales = loaded["scales"].to(self._device) if "scales" in loaded else None
        self._begin(sae, list(meta["rows"]), loaded["silent_for"])
        self._optimizer.restore(loaded, meta["path"])
        self._step = meta["step"]
        self.activations_seen = meta["activations_seen"]
        self.curve = [list(point) for point in meta["curve"]]
        self._sums = list(meta["sums"])


def train_autoencoder(
    x: Any,
    config: AutoencoderConfig | None = None,
    *,
    held_out: Any = None,
    device: str = "cpu",
    compiled: bool = False,
) -> tuple[SparseAutoencoder, AutoencoderReport]:
    """Train a sparse autoencoder on activations and measure it on others.

    Args:
        x: array or tensor [rows, d_model], a sequence or iterator of such shards, or an
            `ActivationSource`. Shards are never in memory all at once.
        config: architecture and training. None: the defaults.
        held_out: activations for the report, in any of the same forms. None: a tenth of the rows
            of ``x``, by the config's seed. Rows of one user are alike: to hold out users, give
            their activations here.
        device: where to train: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        compiled: compile the step on a GPU with ``torch.compile``.

    Returns:
        The autoencoder, on ``device`` and ready for use, and its held-out report. The same data,
        config and machine give the same bytes.

    Raises:
        InvalidInput: the data are empty, constant, not finite, or not ``config.d_model`` wide.
        NotReady: the device is not there.
    """
    config = config or AutoencoderConfig()
    source = as_source(x)
    if held_out is None:
        share, seed = 1 - HELD_OUT_SHARE, config.seed
        trained = RowShare(source, share=share, seed=seed, side="keep")
        measured = RowShare(source, share=share, seed=seed, side="drop")
    else:
        trained, measured = source, as_source(held_out)
    trainer = AutoencoderTrainer(trained, config, device=resolve_device(device), compiled=compiled)
    for _ in trainer.steps():
        pass
    sae = trainer.sae
    return sae, report(
        sae, measured, activations_seen=trainer.activations_seen, curve=trainer.curve
    )


def _foreign(what: str, field: str) -> InvalidInput:
    return InvalidInput(
        f"the saved state belongs to {what}.",
        field=field,
        remedy="restore it with the configuration and data it was made with, or start afresh.",
    )
