"""What every sparse autoencoder is: parameters, encoding, decoding, and a pass in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.architectures.codes import Codes, codes_above
from reclens.weights import write_model

Product = Callable[
    [Float[Tensor, "rows inner"], Float[Tensor, "inner columns"]], Float[Tensor, "rows columns"]
]
"""A matrix product, float32 in and out, in some precision."""


class Activations(NamedTuple):
    """What the latents of a batch are in training, with gradients."""

    values: Float[Tensor, "batch n"]
    """Activations, never negative; 0 where a latent does not fire."""
    penalty: Float[Tensor, ""] | None = None
    """What the architecture adds to the loss; None: nothing."""


class TrainingPass(NamedTuple):
    """One batch through an autoencoder in training, with a column for every latent."""

    products: Float[Tensor, "batch n_latents"]
    """``x W_enc``: pre-activations before any bias."""
    values: Float[Tensor, "batch n_latents"]
    """Activations; 0 where a latent does not fire."""
    penalty: Float[Tensor, ""] | None
    """What the architecture adds to the loss."""
    reconstructions: tuple[Float[Tensor, "batch d_model"], ...]
    """Normalised reconstructions that the loss measures; several for nested dictionaries."""
    weights: tuple[float, ...] = (1.0,)
    """What the FVU of each of them weighs in the loss."""
    main: int = 0
    """The reconstruction that is the autoencoder's own."""


class SparseAutoencoder(nn.Module, ABC):
    """``x̂ = (Σ_j z_j W_dec[j] + b_dec) s + μ`` with few ``z_j`` above zero.

    ``z`` follows from the pre-activations ``W_encᵀ (x̃ - b_dec) + b_enc`` of the normalised
    ``x̃ = (x - μ) / s``, with the mean ``μ`` and the root mean squared coordinate ``s`` of the
    training activations, so that one learning rate suits every recommender.

    An architecture is a subclass with its `Config` that says what fires: `activate`. Where use
    differs from training it also has `select`. The loss is the fraction of variance that the
    reconstruction leaves unexplained, the architecture's own penalty, and the revival of dead
    latents; `training_pass` and `decode_levels` may be replaced for more than that.

    Attributes:
        W_enc: [d_model, n_latents], stored by latent. Starts as the transpose of ``W_dec``.
        b_enc: [n_latents].
        W_dec: [n_latents, d_model], rows of unit length unless ``normalisation`` is ``robust``.
        b_dec: [d_model], in normalised space.
        input_mean: ``μ`` [d_model].
        input_scale: ``s``, a scalar tensor.
    """

    Config: ClassVar[type[AutoencoderConfig]]
    """Class of its configuration."""

    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__()
        self.config = config.model_copy(update={"d_model": d_model})
        directions = self.initial_directions(d_model)
        self.W_dec = nn.Parameter(directions)
        self.W_enc = nn.Parameter(directions.clone().T)
        self.b_enc = nn.Parameter(torch.zeros(len(directions)))
        self.b_dec = nn.Parameter(torch.zeros(d_model))
        self.register_buffer("input_mean", torch.zeros(d_model))
        self.register_buffer("input_scale", torch.ones(()))

    def initial_directions(self, d_model: int) -> Float[Tensor, "n_latents d_model"]:
        """Rows of ``W_dec`` before training, of unit length; drawn from the config's seed."""
        generator = torch.Generator().manual_seed(self.config.seed)
        directions = torch.randn(self.config.n_latents, d_model, generator=generator)
        return functional.normalize(directions, dim=1)

    @property
    def d_model(self) -> int:
        """Width of the activations."""
        return self.W_dec.shape[1]

    @property
    def n_latents(self) -> int:
        """Units of the dictionary."""
        return self.W_dec.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.W_enc.device

    @property
    def k(self) -> int:
        """Latents active for one activation, exactly or on average."""
        return self.config.k

    # --- use -------------------------------------------------------------------------------------

    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        """The latents that fire in use, from their pre-activations.

        By default those above their `thresholds`, or as in training where there are none.
        """
        thresholds = self.thresholds()
        if thresholds is not None:
            return codes_above(pre, thresholds)
        return codes_above(self.activate(pre).values)

    def normalise(self, x: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_model"]:
        """Centre and scale activations as those of the training data."""
        return (x - self.input_mean) / self.input_scale

    def pre_activations(
        self, x_normalised: Float[Tensor, "batch d_model"]
    ) -> Float[Tensor, "batch n_latents"]:
        """What every latent would be before selection, for normalised activations."""
        return torch.addmm(self.b_enc, x_normalised - self.b_dec, self.W_enc)

    def encode(self, x: Float[Tensor, "batch d_model"]) -> Codes:
        """The latents that fire for each activation, strongest first.

        Rows in which fewer fire than in others are filled with zeros on the right.

        Raises:
            InvalidInput: ``x`` is not [batch, d_model].
        """
        x = torch.as_tensor(x, dtype=self.W_enc.dtype, device=self.W_enc.device)
        if x.ndim != 2 or x.shape[1] != self.d_model:
            raise InvalidInput(
                f"expected activations of shape [batch, {self.d_model}], got {list(x.shape)}.",
                field="x",
                remedy="pass activations of the site that the autoencoder was trained on, "
                "one row each.",
            )
        return self.select(self.pre_activations(self.normalise(x)))

    def decode(self, codes: Codes) -> Float[Tensor, "batch d_model"]:
        """The activations that ``codes`` stand for; any number of latents a row."""
        combined = functional.embedding_bag(
            codes.indices, self.W_dec, per_sample_weights=codes.values, mode="sum"
        )
        return (combined + self.b_dec) * self.input_scale + self.input_mean

    def forward(self, x: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_model"]:
        """Reconstruct activations."""
        return self.decode(self.encode(x))

    def thresholds(self) -> Float[Tensor, " n_latents"] | None:
        """What each latent must exceed to fire in use; None: other latents have a say in it."""
        return None

    @torch.no_grad()
    def fold_scales(self, scales: Float[Tensor, " d_model"]) -> None:
        """From activations ``(x - μ) / scales``, trained on, to ``x`` as it is.

        ``W_enc' = W_enc s / scales``, ``W_dec' = W_dec scales / s``, ``b_dec' = b_dec scales / s``
        with ``s`` the root mean square of the scales: latents and their order stay as they are,
        and so directions are no longer of one length.
        """
        common = scales.square().mean().sqrt()
        self.W_enc.mul_((common / scales)[:, None])
        self.W_dec.mul_(scales / common)
        self.b_dec.mul_(scales / common)
        self.input_scale.copy_(common)

    def save(self, folder: str | Path) -> list[str]:
        """Write ``config.json`` and ``weights.safetensors``; returns these names."""
        return write_model(Path(folder), self.config.canonical(), self.state_dict())

    # --- training --------------------------------------------------------------------------------

    @abstractmethod
    def activate(self, pre: Float[Tensor, "batch n_latents"]) -> Activations:
        """What the latents of a training batch are, from their pre-activations.

        Shapes should depend on no value, so that it compiles and never waits for a GPU: a mask, not
        a list of latents.
        """

    def training_pass(
        self, x: Float[Tensor, "batch d_model"], multiply: Product, *, early: bool
    ) -> TrainingPass:
        """One batch in dense products and masks, with gradients.

        Shapes depend on no value, and nothing is gathered, so it can be compiled as a whole, never
        waits for the device, and adds in the same order at every run.

        Args:
            x: normalised activations.
            multiply: how matrices are multiplied.
            early: whether it is the first half of the training.
        """
        del early
        products = multiply(x, self.W_enc)
        values, penalty = self.activate(self.add_biases(products, self.b_dec))
        levels = self.decode_levels(values, multiply)
        weights = (1 / len(levels),) * len(levels)
        return TrainingPass(products, values, penalty, levels, weights, main=len(levels) - 1)

    def add_biases(
        self, products: Float[Tensor, "batch n_latents"], b_dec: Float[Tensor, " d_model"]
    ) -> Float[Tensor, "batch n_latents"]:
        """Pre-activations ``(x - b_dec) W_enc + b_enc`` from ``x W_enc``, always in float32."""
        return products + (self.b_enc - b_dec @ self.W_enc)

    def decode_levels(
        self, values: Float[Tensor, "batch n_latents"], multiply: Product
    ) -> tuple[Float[Tensor, "batch d_model"], ...]:
        """Normalised reconstructions that weigh alike in the loss, the full one last."""
        return (multiply(values, self.W_dec) + self.b_dec,)

    def learning_rate_factor(self, parameter: str) -> float:
        """How many times the common step size this parameter gets."""
        del parameter
        return 1.0

    def calibrate(self, batches: Iterable[Float[Tensor, "batch d_model"]]) -> None:
        """Fit what is not learned by gradients to the final weights: nothing here.

        Args:
            batches: normalised activations that were trained on.
        """
