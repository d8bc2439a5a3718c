"""What every sparse autoencoder is: parameters, encoding, decoding, and how it takes a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.architectures.codes import Codes
from reclens.sae.architectures.dense import Product
from reclens.sae.architectures.storage import save_weights
from reclens.sae.cpu.backend import compiled_kernels


class Chosen(NamedTuple):
    """The latents that take part in a training step, and what they are to reconstruct."""

    indices: Int[Tensor, "batch width"]
    """Latents. A row with fewer than others is filled with any, below zero in ``pre``."""
    pre: Float[Tensor, "batch width"]
    """Their pre-activations, without gradient."""
    levels: Int[Tensor, "batch width"] | None = None
    """The first reconstruction that each has a part in; it has one in all that follow. None: 0."""
    weights: tuple[float, ...] = (1.0,)
    """What the FVU of each level's reconstruction weighs in the loss."""
    main: int = 0
    """The level that is the autoencoder's own reconstruction."""


class DenseForward(NamedTuple):
    """One batch through an autoencoder in training, with a column for every latent."""

    products: Float[Tensor, "batch n_latents"]
    """``x W_enc``: pre-activations before any bias."""
    values: Float[Tensor, "batch n_latents"]
    """Activations; 0 where a latent does not fire."""
    reconstructions: Float[Tensor, "n_levels batch d_model"]
    """Normalised reconstructions, the full one last; more than one for nested dictionaries."""
    penalty: Float[Tensor, ""] | None
    """What the architecture adds to the loss."""


class Strongest(Protocol):
    """Finds the latents with the largest pre-activations for each activation of a batch."""

    def __call__(
        self, k: int, above: Float[Tensor, " n_latents"] | None = None
    ) -> tuple[Int[Tensor, "batch k"], Float[Tensor, "batch k"]]:
        """``k`` latents a row in no order, and how far each is above ``above`` (None: zero)."""
        ...


class SparseAutoencoder(nn.Module, ABC):
    """``x̂ = (Σ_j z_j W_dec[j] + b_dec) s + μ`` with few ``z_j`` above zero.

    ``z`` is chosen from the pre-activations ``W_encᵀ (x̃ - b_dec) + b_enc`` of the normalised
    ``x̃ = (x - μ) / s``, with the mean ``μ`` and the root mean squared coordinate ``s`` of the
    training activations, so that one learning rate suits every recommender.

    Attributes:
        W_enc: [d_model, n_latents], stored by latent. Starts as the transpose of ``W_dec``.
        b_enc: [n_latents].
        W_dec: [n_latents, d_model], rows of unit length.
        b_dec: [d_model], in normalised space.
        input_mean: ``μ`` [d_model].
        input_scale: ``s``, a scalar tensor.
    """

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

    @abstractmethod
    def select(self, pre: Float[Tensor, "batch n_latents"]) -> Codes:
        """The latents that fire, from their pre-activations."""

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

    def save(self, folder: str | Path) -> list[str]:
        """Write ``config.json`` and ``weights.safetensors``; returns these names."""
        return save_weights(self, self.config, Path(folder))

    # --- training --------------------------------------------------------------------------------

    def dense_forward(
        self, x: Float[Tensor, "batch d_model"], multiply: Product, *, early: bool
    ) -> DenseForward:
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
        pre = self.add_biases(products, self.b_dec)
        values, penalty = self.activate_densely(pre, self.may_fire(pre.detach()))
        return DenseForward(products, values, self.decode_levels(values, multiply), penalty)

    def add_biases(
        self, products: Float[Tensor, "batch n_latents"], b_dec: Float[Tensor, " d_model"]
    ) -> Float[Tensor, "batch n_latents"]:
        """Pre-activations ``(x - b_dec) W_enc + b_enc`` from ``x W_enc``, always in float32."""
        return products + (self.b_enc - b_dec @ self.W_enc)

    @abstractmethod
    def may_fire(self, pre: Float[Tensor, "batch n_latents"]) -> Bool[Tensor, "batch n_latents"]:
        """Latents that may take part in a step, as a mask of what `choose` lists."""

    def activate_densely(
        self, pre: Float[Tensor, "batch n_latents"], chosen: Bool[Tensor, "batch n_latents"]
    ) -> tuple[Float[Tensor, "batch n_latents"], Float[Tensor, ""] | None]:
        """As `activate`, with a column for every latent; 0 where one is not ``chosen``."""
        return pre.relu() * chosen, None

    def decode_levels(
        self, values: Float[Tensor, "batch n_latents"], multiply: Product
    ) -> Float[Tensor, "n_levels batch d_model"]:
        """Normalised reconstructions, the full one last."""
        return (multiply(values, self.W_dec) + self.b_dec)[None]

    @abstractmethod
    def choose(self, strongest: Strongest, progress: float) -> Chosen:
        """The latents that take part in a step; ``progress``: share of the training done."""

    def activate(
        self, pre: Float[Tensor, "batch width"], indices: Int[Tensor, "batch width"]
    ) -> tuple[Float[Tensor, "batch width"], Float[Tensor, ""] | None]:
        """Activations from chosen pre-activations, and a penalty where there is one."""
        del indices
        return pre.relu(), None

    def learning_rate_factor(self, parameter: str) -> float:
        """How many times the common step size this parameter gets."""
        del parameter
        return 1.0

    @torch.no_grad()
    def strongest(
        self,
        x: Float[Tensor, "batch d_model"],
        k: int,
        above: Tensor | None = None,
        *,
        latents: Tensor | None = None,
    ) -> tuple[Int[Tensor, "batch k"], Float[Tensor, "batch k"]]:
        """The ``k`` latents with the largest pre-activations of normalised ``x``, in no order.

        Args:
            x: normalised activations.
            k: how many.
            above: ranks, and returns, how far each is above this [n_latents].
            latents: only among these; None: among all.

        Returns:
            Latents, and their pre-activations (less ``above``).
        """
        weight, bias = self.W_enc, self.b_enc if above is None else self.b_enc - above
        if latents is not None:
            weight, bias = weight[:, latents], bias[latents]
        kernels = compiled_kernels(x.device)
        if kernels is None:
            pre = torch.addmm(bias, x - self.b_dec, weight)
            values, indices = pre.topk(k, dim=1, sorted=False)
        else:
            values, indices = kernels.top_k(x, weight, bias, self.b_dec, k)
        return (indices if latents is None else latents[indices]), values

    def calibrate(self, batches: Iterable[Float[Tensor, "batch d_model"]]) -> None:
        """Fit what is not learned by gradients to the final weights: nothing here.

        Args:
            batches: normalised activations that were trained on.
        """


def codes_above(
    pre: Float[Tensor, "batch n_latents"], threshold: Float[Tensor, "*n_latents"]
) -> Codes:
    """Codes of the latents whose pre-activation is above ``threshold`` and above zero."""
    fires = (pre > threshold) & (pre > 0)
    width = max(1, int(fires.sum(1).max())) if len(pre) else 1
    values, indices = (pre * fires).topk(width, dim=1)
    return Codes(indices, values)
