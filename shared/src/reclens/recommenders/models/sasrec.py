"""SASRec: self-attention over the history, plain PyTorch.

Source: Kang and McAuley, Self-Attentive Sequential Recommendation, 2018 (arXiv 1808.09781).
Departures: full-softmax cross-entropy at every position instead of one sampled negative,
normalisation before each sublayer, GELU.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from reclens.contracts import SasRecConfig
from reclens.data import Dataset, Split
from reclens.errors import InvalidInput
from reclens.probing import ProbeSite
from reclens.recommenders.base import NO_ITEM, Recommender, UserBatch

_EMBEDDING_STD = 0.02

# Logits of so many rows are computed, turned into gradients and forgotten, in one buffer. Autograd
# would allocate and clear four matrices [rows, n_items] a step, which costs more than the products.
_LOSS_ROWS = 256


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(
        self, x: Float[Tensor, "batch length d_model"], mask: Bool[Tensor, "batch 1 length length"]
    ) -> Float[Tensor, "batch length d_model"]:
        heads = self.query_key_value(x).unflatten(-1, (3, self.n_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.output(mixed.transpose(1, 2).flatten(-2))


class Block(nn.Module):
    """Attention and a feed-forward layer, each normalised before and added after."""

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = Attention(d_model, n_heads)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, 4 * d_model),
            nn.GELU(),
            nn.Linear(4 * d_model, d_model),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch length d_model"], mask: Bool[Tensor, "batch 1 length length"]
    ) -> Float[Tensor, "batch length d_model"]:
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class Encoder(nn.Module):
    """From item vectors to one representation per position; the final ``norm`` is the site."""

    def __init__(self, config: SasRecConfig) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(config.max_length, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.dropout) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.d_model)

    def forward(
        self, x: Float[Tensor, "batch length d_model"], present: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length d_model"]:
        length = x.shape[1]
        # Counted from the right end, so padding on the left moves nothing.
        age = torch.arange(length - 1, -1, -1, device=x.device)
        x = self.dropout(x + self.position_embedding(age))
        mask = causal_mask(present)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


def causal_mask(present: Bool[Tensor, "batch length"]) -> Bool[Tensor, "batch 1 length length"]:
    """True where a position may attend: to items up to itself, and always to itself.

    Attending to itself keeps the softmax of a padding position defined; no item sees it.
    """
    length = present.shape[1]
    square = torch.ones(length, length, dtype=torch.bool, device=present.device)
    itself = torch.eye(length, dtype=torch.bool, device=present.device)
    return ((present[:, None, :] & square.tril()) | itself)[:, None]


class SasRec(Recommender):
    """Scores by the inner product of the last position and the item embeddings."""

    site: ClassVar[ProbeSite] = ProbeSite("encoder.norm", position="last")
    reads_history: ClassVar[bool] = True
    config: SasRecConfig

    def __init__(self, config: SasRecConfig, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        if config.d_model % config.n_heads:
            raise InvalidInput(
                f"n_heads = {config.n_heads} does not divide d_model = {config.d_model}.",
                field="n_heads",
                remedy="choose a divisor of d_model.",
            )
        # Row 0 is the padding; item i is row i + 1, here and nowhere else.
        self.item_embedding = nn.Embedding(n_items + 1, config.d_model, padding_idx=0)
        self.encoder = Encoder(config)
        self._initialise()

    @classmethod
    def objective(cls, config: SasRecConfig, dataset: Dataset) -> NextItemObjective:
        return NextItemObjective(config, dataset)

    @property
    def max_length(self) -> int:
        return self.config.max_length

    def item_weights(self) -> Float[Tensor, "n_items d_model"]:
        return self.item_embedding.weight[1:]

    def encode(self, history: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length d_model"]:
        """The representation at every position; meaningless where ``history`` is padding."""
        return self.encoder(self.item_embedding(history + 1), history != NO_ITEM)

    def represent(self, batch: UserBatch) -> Float[Tensor, "batch d_model"]:
        history = batch.history[:, -self.max_length :]
        if history.shape[1] == 0 or bool((history[:, -1] == NO_ITEM).any()):
            raise InvalidInput(
                "a sequential model needs at least one item of history.",
                field="history",
                remedy="give the items that the user interacted with, oldest first.",
            )
        return self.encode(history)[:, -1]

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=_EMBEDDING_STD)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()


class NextItemObjective:
    """At every position, tell the next item among all items."""

    def __init__(self, config: SasRecConfig, dataset: Dataset) -> None:
        self._windows = training_windows(
            [dataset.history(user, (Split.TRAIN,)) for user in range(dataset.n_users)],
            config.max_length,
        )
        if len(self._windows) == 0:
            raise InvalidInput(
                "no user has two interactions in train, so there is no next item to learn.",
                field="dataset",
                remedy="import more data, or split it in another way.",
            )

    def epoch(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Windows [n, max_length + 1]: inputs, then targets one place further on."""
        return (self._windows[rng.permutation(len(self._windows))],)

    def loss(self, model: Recommender, *examples: Tensor) -> Tensor:
        """Cross-entropy in nats, averaged over the positions that hold an item."""
        assert isinstance(model, SasRec)
        (windows,) = examples
        history, target = windows[:, :-1], windows[:, 1:]
        present = history != NO_ITEM
        x = model.encode(history)[present]
        return full_softmax_loss(x, model.item_weights(), target[present])


def training_windows(
    histories: list[np.ndarray], max_length: int
) -> Int[np.ndarray, "n length_plus_1"]:
    """Cut histories into windows of ``max_length`` inputs and their next items.

    Cut from the right, so that the most recent window of each user is full; every item but a
    user's first is a target exactly once.
    """
    windows: list[np.ndarray] = []
    for history in histories:
        for end in range(len(history), 1, -max_length):
            recent = history[max(0, end - max_length - 1) : end]
            window = np.full(max_length + 1, NO_ITEM, dtype=np.int64)
            window[max_length + 1 - len(recent) :] = recent
            windows.append(window)
    return np.stack(windows) if windows else np.empty((0, max_length + 1), dtype=np.int64)


def full_softmax_loss(
    x: Float[Tensor, "rows d_model"],
    item_weights: Float[Tensor, "n_items d_model"],
    target: Int[Tensor, " rows"],
) -> Float[Tensor, ""]:
    """Cross-entropy over the whole catalogue, without ever holding all logits.

    Mean over rows of ``-log softmax(x @ item_weights.T)[target]``, in nats.
    """
    loss: Tensor = _FullSoftmax.apply(x, item_weights, target)  # pyright: ignore[reportAssignmentType]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, item_weights: Tensor, target: Tensor) -> Tensor:
        x_grad = torch.empty_like(x)
        weights_grad = torch.zeros_like(item_weights)
        loss = x.new_zeros(())
        buffer = x.new_empty(min(_LOSS_ROWS, len(x)), len(item_weights))
        for start in range(0, len(x), _LOSS_ROWS):
            rows = slice(start, start + _LOSS_ROWS)
            label = target[rows, None]
            logits = buffer[: len(label)]
            torch.mm(x[rows], item_weights.T, out=logits)
            logits -= logits.amax(dim=1, keepdim=True)
            chosen = logits.gather(1, label)
            total = logits.exp_().sum(dim=1, keepdim=True)
            loss += (total.log() - chosen).sum()
            # d loss / d logits = softmax - one-hot
            error = logits.div_(total)
            error.scatter_add_(1, label, torch.full_like(label, -1, dtype=x.dtype))
            torch.mm(error, item_weights, out=x_grad[rows])
            weights_grad.addmm_(error.T, x[rows])
        ctx.save_for_backward(x_grad.div_(len(x)), weights_grad.div_(len(x)))
        return loss / len(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x_grad, weights_grad = ctx.saved_tensors
        return grads[0] * x_grad, grads[0] * weights_grad, None
