"""Five libraries that train a TopK autoencoder on activations that are in memory already.

Each library trains by its own trainer, set up as its documentation does for one autoencoder, with
the same batch size, number of activations, latents and k. Libraries are imported inside their own
contender, so that one that is not installed concerns no other.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

CHECKPOINTS = 16
"""Times at which the held-out error is taken in a run, with the clock stopped."""
Reconstruct = Callable[[Tensor], Tensor]
Fires = Callable[[Tensor], Tensor]
"""From activations to a boolean per latent: fires for at least one of them."""
Trained = tuple[Reconstruct, Fires]


@dataclass(frozen=True)
class Task:
    """What every contender has to do."""

    x: np.ndarray
    """Activations to train on, float32 [rows, d_model], centred, with a mean square of 1."""
    held_out: np.ndarray
    """Activations to measure on, treated alike."""
    n_latents: int
    k: int
    batch_size: int
    n_epochs: int
    seed: int
    learning_rate: float | None
    """None: the library's default."""
    device: str = "cpu"
    """Where all train, and where ``batches`` are."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of this project's products; the others' stay as they come."""
    compiled: bool = False
    """Whether this project's step is compiled."""

    @property
    def steps(self) -> int:
        """Steps in all."""
        return len(self.x) // self.batch_size * self.n_epochs

    def batches(self) -> Iterator[Tensor]:
        """Shuffled batches, epoch after epoch; what is over is left out."""
        x = torch.from_numpy(self.x).to(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.n_epochs):
            order = torch.randperm(len(x), generator=generator).to(self.device)
            for start in range(0, len(x) - self.batch_size + 1, self.batch_size):
                yield x[order[start : start + self.batch_size]]


@dataclass
class Watch:
    """A clock that stands while the held-out error is taken."""

    held_out: Tensor
    every: int
    seconds: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of training, and the held-out FVU reached by then."""
    _steps: int = 0
    _since: float = 0.0

    def start(self) -> None:
        self._since = time.perf_counter()

    def stop(self) -> None:
        # What was enqueued belongs to the steps so far.
        if self.held_out.is_cuda:
            torch.cuda.synchronize(self.held_out.device)
        self.seconds += time.perf_counter() - self._since

    def step(self, reconstruct: Reconstruct) -> None:
        """To be called once a step."""
        self._steps += 1
        if self._steps % self.every == 0:
            self.measure(reconstruct)

    @torch.no_grad()
    def measure(self, reconstruct: Reconstruct) -> None:
        self.stop()
        error = sum(
            float((x - reconstruct(x)).double().square().sum()) for x in self.held_out.split(4096)
        )
        total = float((self.held_out - self.held_out.mean(0)).double().square().sum())
        self.curve.append((self.seconds, error / total))
        self.start()


def reclens(task: Task, watch: Watch, **options: Any) -> Trained:
    """This project, by its public trainer and its default configuration but for ``options``."""
    from reclens.sae import AutoencoderConfig, AutoencoderTrainer
    from reclens.sae.activations.sources import as_source

    config = AutoencoderConfig(
        n_latents=task.n_latents,
        k=task.k,
        batch_size=task.batch_size,
        n_epochs=task.n_epochs,
        seed=task.seed,
        learning_rate=task.learning_rate,
        precision=task.precision,
        **options,
    )
    trainer = AutoencoderTrainer(
        as_source(task.x), config, device=task.device, compiled=task.compiled
    )
    watch.start()
    for progress in trainer.steps():
        if progress.stage == "train":
            watch.step(trainer.sae)
    watch.stop()
    sae = trainer.sae

    def fires(x: Tensor) -> Tensor:
        codes = sae.encode(x)
        return _listed(codes.indices, codes.values, task.n_latents)

    return sae, fires


def sae_lens(task: Task, watch: Watch) -> Trained:
    """SAELens: `SAETrainer` on a `TopKTrainingSAE`."""
    from sae_lens import SAETrainer, TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig

    torch.manual_seed(task.seed)
    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=task.x.shape[1], d_sae=task.n_latents, k=task.k, device=task.device
        )
    )
    steps, rate = task.steps, task.learning_rate or SAETrainerConfig.lr
    config = SAETrainerConfig(
        total_training_samples=steps * task.batch_size,
        train_batch_size_samples=task.batch_size,
        lr=rate,
        device=task.device,
        lr_end=rate / 10,  # as its runner fills it in
        lr_decay_steps=steps // 5,
    )
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=_watched(task, watch, sae))
    watch.start()
    trainer.fit()
    watch.stop()
    return sae, lambda x: (sae.encode(x) > 0).any(0)


def dictionary_learning(task: Task, watch: Watch) -> Trained:
    """dictionary_learning: the loop of `trainSAE` over a `TopKTrainer`."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    steps = task.steps
    trainer = TopKTrainer(
        steps=steps,
        activation_dim=task.x.shape[1],
        dict_size=task.n_latents,
        k=task.k,
        layer=0,
        lm_name="",
        lr=task.learning_rate,
        warmup_steps=steps // 20,
        decay_start=steps * 4 // 5,
        threshold_start_step=steps,
        seed=task.seed,
        device=task.device,
    )
    watch.start()
    for step, x in enumerate(task.batches()):
        trainer.update(step, x)
        watch.step(trainer.ae)
    watch.stop()
    ae = trainer.ae
    return ae, lambda x: (ae.encode(x) > 0).any(0)


def sparsify(task: Task, watch: Watch) -> Trained:
    """eai-sparsify: its `Trainer`, on a model whose only layer looks activations up."""
    from sparsify import SaeConfig, TrainConfig, Trainer

    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            SaeConfig(num_latents=task.n_latents, k=task.k),
            batch_size=task.batch_size,
            hookpoints=["layer"],
            lr=task.learning_rate,
            init_seeds=[task.seed],
            save_every=10**9,
            save_dir=folder,
            log_to_wandb=False,
        )
        rows = _Rows(task)
        trainer = Trainer(config, rows, _Lookup(task.x, task.device))  # type: ignore[arg-type]
        sae = trainer.saes["layer"]

        def reconstruct(x: Tensor) -> Tensor:
            acts, indices, _ = sae.encode(x)
            return sae.decode(acts, indices)

        rows.after_batch = lambda: watch.step(reconstruct)
        watch.start()
        trainer.fit()
        watch.stop()
        # As its forward pass does at the next step.
        sae.set_decoder_norm_to_unit_norm()

        def fires(x: Tensor) -> Tensor:
            acts, indices, _ = sae.encode(x)
            return _listed(indices, acts, task.n_latents)

    return reconstruct, fires


def plain(task: Task, watch: Watch) -> Trained:
    """A dense PyTorch loop: scatter, two matrix products, Adam, unit decoder rows."""
    torch.manual_seed(task.seed)
    d_model = task.x.shape[1]
    W_dec = torch.nn.functional.normalize(torch.randn(task.n_latents, d_model), dim=1)
    W_dec = W_dec.to(task.device)
    W_enc = W_dec.T.clone().requires_grad_()
    W_dec.requires_grad_()
    b_enc = torch.zeros(task.n_latents, requires_grad=True, device=task.device)
    b_dec = torch.zeros(d_model, requires_grad=True, device=task.device)
    peak, steps = task.learning_rate or 1e-3, task.steps
    optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=peak)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (0.05 * steps), 2 * (steps - step) / steps)
    )

    def encode(x: Tensor) -> Tensor:
        pre = (x - b_dec) @ W_enc + b_enc
        kept = pre.topk(task.k, dim=1)
        return torch.zeros_like(pre).scatter(1, kept.indices, kept.values.relu())

    def reconstruct(x: Tensor) -> Tensor:
        return encode(x) @ W_dec + b_dec

    watch.start()
    for x in task.batches():
        loss = (x - reconstruct(x)).square().sum(1).mean() / d_model
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            W_dec /= W_dec.norm(dim=1, keepdim=True)
        watch.step(reconstruct)
    watch.stop()
    return reconstruct, lambda x: (encode(x) > 0).any(0)


CONTENDERS: dict[str, tuple[Callable[[Task, Watch], Trained], str | None]] = {
    "reclens": (reclens, "reclens"),
    "reclens, plain TopK": (partial(reclens, multi_topk_coefficient=0.0), "reclens"),
    "sae-lens": (sae_lens, "sae-lens"),
    "dictionary-learning": (dictionary_learning, "dictionary-learning"),
    "eai-sparsify": (sparsify, "eai-sparsify"),
    "plain torch": (plain, "torch"),
}
"""How to train, and the package whose version is told."""


def _listed(indices: Tensor, values: Tensor, n_latents: int) -> Tensor:
    fires = torch.zeros(n_latents, dtype=torch.bool, device=indices.device)
    return fires.index_fill_(0, indices[values > 0], True)


@torch.no_grad()
def _measured_dead(fires: Fires, held_out: Tensor) -> float:
    return 1 - float(fires(held_out).float().mean())


def run(name: str, task: Task) -> dict[str, Any]:
    """Train once, after a short training that warms up compilers and caches."""
    train, _ = CONTENDERS[name]
    warm_up = Task(**{**vars(task), "x": task.x[: 4 * task.batch_size], "n_epochs": 2})
    held_out = torch.from_numpy(task.held_out).to(task.device)
    train(warm_up, Watch(held_out, every=10**9))
    watch = Watch(held_out, every=math.ceil(task.steps / CHECKPOINTS))
    reconstruct, fires = train(task, watch)
    seconds = watch.seconds
    watch.start()
    watch.measure(reconstruct)
    curve = [*watch.curve[:-1], (seconds, watch.curve[-1][1])]
    return {
        "seconds": seconds,
        "activations": task.steps * task.batch_size,
        "fvu": curve[-1][1],
        "dead_fraction": _measured_dead(fires, held_out),
        "curve": curve,
    }


def _watched(task: Task, watch: Watch, sae: Reconstruct) -> Iterator[Tensor]:
    """Batches that tell the watch of the step made with the one before."""
    for i, x in enumerate(task.batches()):
        if i:
            watch.step(sae)
        yield x


class _Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Row numbers in shuffled order, as token ids of sequences of length 1."""

    def __init__(self, task: Task) -> None:
        generator = torch.Generator().manual_seed(task.seed)
        rows = len(task.x) // task.batch_size * task.batch_size
        self._order = torch.cat(
            [torch.randperm(len(task.x), generator=generator)[:rows] for _ in range(task.n_epochs)]
        )
        self._begun = False
        self.after_batch: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._order)

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        if self._begun:
            self.after_batch()
        self._begun = True
        return [{"input_ids": row} for row in self._order[indices].split(1)]


class _Lookup(torch.nn.Module):
    """As much of a transformer as a trainer of autoencoders asks for."""

    def __init__(self, x: np.ndarray, device: str) -> None:
        super().__init__()
        self.device = torch.device(device)
        self.layer = torch.nn.Embedding.from_pretrained(torch.from_numpy(x).to(device))
        self.dummy_inputs = {"input_ids": torch.zeros(1, 1, dtype=torch.long, device=device)}

    @property
    def base_model(self) -> torch.nn.Module:
        return self

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.layer(input_ids)
