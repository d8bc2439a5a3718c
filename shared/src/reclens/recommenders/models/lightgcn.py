"""LightGCN: embeddings smoothed over the graph of who took what.

Source: He et al., LightGCN: Simplifying and Powering Graph Convolution Network for
Recommendation, 2020 (arXiv 2002.02126). Departure: the L2 penalty is Adam's weight decay on all
embeddings in place of a term over those of the batch.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from reclens.contracts import LightGcnConfig
from reclens.data import Dataset, Split
from reclens.recommenders.models.pairwise import PairwiseRecommender


class InteractionGraph(nn.Module):
    """Users and items as nodes, each train interaction as an edge.

    The edges are a buffer: they are stored with the weights, so a model that is loaded needs no
    data set, and loading takes as many edges as were stored.
    """

    edges: Int[Tensor, "2 n_edges"]
    """User and item of each edge."""

    def __init__(self, n_users: int, n_items: int, n_layers: int) -> None:
        super().__init__()
        self.n_users = n_users
        self.n_items = n_items
        self.n_layers = n_layers
        self.register_buffer("edges", torch.empty((2, 0), dtype=torch.int32))
        self._adjacency: Tensor | None = None
        self.register_load_state_dict_pre_hook(_take_stored_number_of_edges)

    def connect(self, user_index: np.ndarray, item_index: np.ndarray) -> None:
        """Take these edges instead of the present ones; repeated ones count once."""
        pairs = np.unique(np.stack([user_index, item_index]).astype(np.int32), axis=1)
        self.edges = torch.from_numpy(pairs).to(self.edges.device)
        self._adjacency = None

    def adjacency(self) -> Float[Tensor, "n_nodes n_nodes"]:
        """Symmetrically normalised, sparse rows: ``1 / sqrt(degree_u * degree_i)`` at each edge.

        Users come first. A node without an edge has an empty row.
        """
        kept = self._adjacency
        if kept is None or kept.device != self.edges.device:
            kept = self._adjacency = self._normalised()
        return kept

    def forward(self, x: Float[Tensor, "n_nodes d_model"]) -> Float[Tensor, "n_nodes d_model"]:
        """Mean over layers 0 to ``n_layers`` of ``x`` after so many steps to the neighbours."""
        smoothed: Tensor = _Smoothing.apply(x, self.adjacency(), self.n_layers)  # pyright: ignore[reportAssignmentType]
        return smoothed

    def _normalised(self) -> Tensor:
        users, items = self.edges.long()
        items = items + self.n_users
        ends, others = nodes = torch.stack([torch.cat([users, items]), torch.cat([items, users])])
        n_nodes = self.n_users + self.n_items
        scale = torch.bincount(ends, minlength=n_nodes).clamp(min=1).rsqrt()
        weights, size = scale[ends] * scale[others], (n_nodes, n_nodes)
        with warnings.catch_warnings():
            # Said once per process, to whoever happens to be first.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            return torch.sparse_coo_tensor(
                nodes, weights, size, check_invariants=True
            ).to_sparse_csr()


def _take_stored_number_of_edges(
    graph: nn.Module, stored: dict[str, Any], prefix: str, *_: Any
) -> None:
    assert isinstance(graph, InteractionGraph)
    edges = stored.get(f"{prefix}edges")
    if isinstance(edges, Tensor) and edges.ndim == 2:
        graph.edges = graph.edges.new_empty(edges.shape)
        graph._adjacency = None


class _Smoothing(torch.autograd.Function):
    """``x -> mean_k A^k x``. ``A`` is symmetric, so the gradient is smoothed in the same way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Tensor, n_layers: int) -> Tensor:
        ctx.adjacency, ctx.n_layers = adjacency, n_layers
        return _smooth(x, adjacency, n_layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _smooth(grads[0], ctx.adjacency, ctx.n_layers), None, None


def _smooth(x: Tensor, adjacency: Tensor, n_layers: int) -> Tensor:
    total, layer = x.clone(), x
    for _ in range(n_layers):
        layer = adjacency @ layer
        total += layer
    return total.div_(n_layers + 1)


class LightGcn(PairwiseRecommender):
    """Its vectors are the two embedding tables, smoothed."""

    config: LightGcnConfig

    def __init__(self, config: LightGcnConfig, n_users: int, n_items: int) -> None:
        super().__init__(config, n_users, n_items)
        self.graph = InteractionGraph(n_users, n_items, config.n_layers)
        nn.init.normal_(self.user_embedding.weight, std=config.initial_std)
        nn.init.normal_(self.item_embedding.weight, std=config.initial_std)
        self._smoothed: tuple[tuple[Any, ...], tuple[Tensor, Tensor]] | None = None

    def observe(self, dataset: Dataset) -> None:
        seen = dataset.interactions
        train = seen.split == Split.TRAIN
        self.graph.connect(seen.user_index[train], seen.item_index[train])
        self._smoothed = None

    def vectors(self) -> tuple[Float[Tensor, "users d_model"], Float[Tensor, "items d_model"]]:
        """Smoothed vectors of all users and all items, kept while nothing that they depend on
        changes and no gradient is asked for."""
        tables = (self.user_embedding.weight, self.item_embedding.weight)
        if torch.is_grad_enabled():
            return self._smooth(*tables)
        state = tuple(_state(tensor) for tensor in (*tables, self.graph.edges))
        if self._smoothed is None or self._smoothed[0] != state:
            self._smoothed = (state, self._smooth(*tables))
        return self._smoothed[1]

    def _smooth(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        smoothed = self.graph(torch.cat([users, items]))
        return smoothed[: self.n_users], smoothed[self.n_users :]


def _state(tensor: Tensor) -> tuple[Any, ...]:
    """Differs after every change: those in place, such as an optimiser's, raise the version."""
    return tensor.data_ptr(), tensor.device, 0 if tensor.is_inference() else tensor._version
