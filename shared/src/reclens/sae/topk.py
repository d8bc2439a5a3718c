"""TopK sparse autoencoder."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from reclens.contracts import AutoencoderConfig
from reclens.errors import InvalidInput
from reclens.sae.codes import Codes, combine_rows
from reclens.sae.storage import save_weights


class TopKAutoencoder(nn.Module):
    """``z = TopK_k(ReLU(W_encᵀ (x̃ - b_dec) + b_enc))``, ``x̂ = (Σ_j z_j W_dec[j] + b_dec) s + μ``.

    ``x̃ = (x - μ) / s`` with the mean ``μ`` and the root mean squared coordinate ``s`` of the
    training activations, so that one learning rate suits every recommender.

    Attributes:
        W_enc: [d_model, n_latents]. Starts as the transpose of ``W_dec``.
        b_enc: [n_latents].
        W_dec: [n_latents, d_model], rows of unit length.
        b_dec: [d_model], in normalised space.
        input_mean: ``μ`` [d_model].
        input_scale: ``s``, a scalar tensor.

    Source: arXiv 2406.04093, section 2.3.
    """

    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, config: AutoencoderConfig, d_model: int) -> None:
        super().__init__()
        self.config = config.model_copy(update={"d_model": d_model})
        generator = torch.Generator().manual_seed(config.seed)
        directions = torch.randn(config.n_latents, d_model, generator=generator)
        self.W_dec = nn.Parameter(functional.normalize(directions, dim=1))
        self.W_enc = nn.Parameter(
            self.W_dec.detach().T.clone(memory_format=torch.contiguous_format)
        )
        self.b_enc = nn.Parameter(torch.zeros(config.n_latents))
        self.b_dec = nn.Parameter(torch.zeros(d_model))
        self.register_buffer("input_mean", torch.zeros(d_model))
        self.register_buffer("input_scale", torch.ones(()))

    @property
    def d_model(self) -> int:
        """Width of the activations."""
        return self.W_dec.shape[1]

    @property
    def n_latents(self) -> int:
        """Units of the dictionary."""
        return self.W_dec.shape[0]

    @property
    def k(self) -> int:
        """Latents active for one activation."""
        return self.config.k

    def normalise(self, x: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_model"]:
        """Centre and scale activations as those of the training data."""
        return (x - self.input_mean) / self.input_scale

    def pre_activations(
        self, x_normalised: Float[Tensor, "batch d_model"]
    ) -> Float[Tensor, "batch n_latents"]:
        """What every latent would be before ReLU and TopK, for normalised activations."""
        return torch.addmm(self.b_enc, x_normalised - self.b_dec, self.W_enc)

    def encode(self, x: Float[Tensor, "batch d_model"]) -> Codes:
        """The ``k`` strongest latents of each activation, strongest first.

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
        values, indices = self.pre_activations(self.normalise(x)).topk(self.k, dim=1)
        return Codes(indices, values.relu())

    def decode(self, codes: Codes) -> Float[Tensor, "batch d_model"]:
        """The activations that ``codes`` stand for; any number of latents a row."""
        combined = combine_rows(self.W_dec, codes.indices, codes.values)
        return (combined + self.b_dec) * self.input_scale + self.input_mean

    def forward(self, x: Float[Tensor, "batch d_model"]) -> Float[Tensor, "batch d_model"]:
        """Reconstruct activations."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def normalise_decoder(self) -> None:
        """Give every row of ``W_dec`` unit length."""
        self.W_dec.copy_(functional.normalize(self.W_dec, dim=1))

    @torch.no_grad()
    def project_decoder_gradient(self) -> None:
        """Remove the part of the gradient that would only change a row's length."""
        grad = self.W_dec.grad
        if grad is not None:
            grad -= (grad * self.W_dec).sum(1, keepdim=True) * self.W_dec

    def save(self, folder: str | Path) -> list[str]:
        """Write ``config.json`` and ``weights.safetensors``; returns these names."""
        return save_weights(self, self.config, Path(folder))
