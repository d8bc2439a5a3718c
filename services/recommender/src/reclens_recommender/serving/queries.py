"""Requests of InferenceService as queries to a served model, and rankings as its responses.

Untouched and edited rankings of all items, for several subjects together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import InvalidInput, NotFound
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering.edits import LatentEdit, Mode, check_latents
from reclens.steering.encoding import EncodedVector
from reclens.steering.engine import EditedVector
from reclens.steering.limits import (
    MAX_EXCLUDED,
    MAX_HISTORY,
    MAX_TAG_LIMITS,
    MAX_TOP_K,
    check_count,
)
from reclens.steering.scores import attribute
from reclens.steering.wire import read_latent_edits, read_mode
from reclens_recommender.serving.ranking.ranker import RankedItems, TopKQuery, TopKResult
from reclens_recommender.serving.representations import Representation, Subject
from reclens_recommender.serving.served_model import ServedModel


@dataclass(frozen=True, eq=False)
class RankQuery:
    """Whom to rank for and what to edit, checked against the data set and the dictionary."""

    subject: Subject
    """The user or history to rank for."""
    top_k: int
    """How many items to return."""
    exclude_seen: bool = True
    """Whether items of the history are left out."""
    excluded: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Further items that are no candidates."""
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Most items of a ranking that may carry a tag."""
    edits: tuple[LatentEdit, ...] = ()
    """Edits of latents."""
    mode: Mode = Mode.RESIDUAL
    """How they are written back."""
    include_baseline: bool = False
    """Also list the untouched ranking."""
    include_latents: bool = False
    """Also list the latents and what they add."""

    @property
    def steered(self) -> bool:
        """Whether anything but the untouched ranking is asked for."""
        return bool(self.edits) or self.mode is Mode.RECONSTRUCT


# --- requests to queries -------------------------------------------------------------------------


def query_of(served: ServedModel, request: pb.RankRequest) -> RankQuery:
    """What ``request`` asks of ``served``.

    Raises:
        InvalidInput: names the field.
        NotFound: an unknown user, item or tag; names the field.
    """
    subject = _subject(served, request.subject)
    check_count(request.top_k, MAX_TOP_K, "items", field="top_k", least=1)
    mode = read_mode(request.mode)
    edits = read_latent_edits(request.edits, field="edits")
    check_latents(edits, served.steering.n_latents)
    return RankQuery(
        subject=subject,
        top_k=request.top_k,
        exclude_seen=request.exclude_seen,
        excluded=_excluded(served, request),
        limits=_limits(served, request),
        edits=edits,
        mode=mode,
        include_baseline=request.include_baseline,
        include_latents=request.include_latents,
    )


def _subject(served: ServedModel, subject: pb.Subject) -> Subject:
    given = subject.WhichOneof("subject")
    dataset = served.dataset
    if given == "user_id":
        try:
            user = dataset.users.index_of(subject.user_id)
        except NotFound as error:
            raise NotFound(error.message, field="subject.user_id", remedy=error.remedy) from error
        kept = served.representations.history(user)
        return Subject(user, dataset.history(user) if kept is None else kept, user)
    if given is None:
        raise InvalidInput(
            "nobody to rank for.", field="subject", remedy="give a user_id or a history."
        )
    field = "subject.history.items"
    items = subject.history.items
    remedy = f"give 1 to {MAX_HISTORY} items, oldest first."
    check_count(len(items), MAX_HISTORY, "items of a history", field=field, least=1, remedy=remedy)
    history = item_rows(items, dataset.n_items, field)
    return Subject(UNKNOWN_USER, history, history.tobytes())


def item_rows(items: Sequence[int], n_items: int, field: str) -> npt.NDArray[np.int64]:
    """Rows of items as an array.

    Raises:
        NotFound: there is no such item; names the field.
    """
    rows = np.array(items, dtype=np.int64)
    if len(rows) and rows.max() >= n_items:
        position = int(np.argmax(rows >= n_items))
        raise NotFound(
            f"there is no item {rows[position]}.",
            field=f"{field}[{position}]",
            remedy=f"the data set has items 0 to {n_items - 1}.",
        )
    return rows


def _excluded(served: ServedModel, request: pb.RankRequest) -> npt.NDArray[np.int64]:
    if not request.excluded_items:
        return np.zeros(0, np.int64)
    check_count(len(request.excluded_items), MAX_EXCLUDED, "excluded items", field="excluded_items")
    return np.unique(item_rows(request.excluded_items, served.dataset.n_items, "excluded_items"))


def _limits(served: ServedModel, request: pb.RankRequest) -> dict[str, int]:
    check_count(len(request.tag_limits), MAX_TAG_LIMITS, "tag limits", field="tag_limits")
    limits: dict[str, int] = {}
    for position, limit in enumerate(request.tag_limits):
        served.tags.check(limit.tag, f"tag_limits[{position}].tag")
        limits[limit.tag] = min(limit.max_items, limits.get(limit.tag, limit.max_items))
    return limits


# --- queries to responses ------------------------------------------------------------------------


def rank(served: ServedModel, queries: Sequence[RankQuery]) -> list[pb.RankResponse]:
    """Answer ``queries`` together. Equal scores are in order of the item's row.

    A response has the same bits whatever other queries are answered with it.

    Raises:
        InvalidInput, NotReady: the model cannot represent one of the subjects; ask one by one to
            learn which.
    """
    with torch.inference_mode():
        representations = served.representations.of([query.subject for query in queries])
        edited = [
            served.steering.edit(representation.encoded, query.edits, query.mode)
            for query, representation in zip(queries, representations, strict=True)
        ]
        found = served.ranker.rank(
            [
                _top_k_query(served, *one)
                for one in zip(queries, representations, edited, strict=True)
            ]
        )
        return [
            _response(served, *one)
            for one in zip(queries, representations, edited, found, strict=True)
        ]


def _top_k_query(
    served: ServedModel, query: RankQuery, representation: Representation, edited: EditedVector
) -> TopKQuery:
    excluded = query.excluded
    if query.exclude_seen:
        seen = representation.seen
        excluded = np.union1d(seen, excluded) if len(excluded) else seen
    device = served.catalogue.weights.device
    return TopKQuery(
        representation=representation,
        edited=torch.from_numpy(edited.x).to(device, copy=True) if edited.changed else None,
        top_k=query.top_k,
        excluded=excluded,
        limits=query.limits,
        tags=served.tags,
    )


def _response(
    served: ServedModel,
    query: RankQuery,
    representation: Representation,
    edited: EditedVector,
    found: TopKResult,
) -> pb.RankResponse:
    encoded, (baseline, ranked) = representation.encoded, found
    shift = 0.0
    if edited.changed and encoded.norm > 0:
        shift = float(np.linalg.norm((edited.x - encoded.x).astype(np.float64))) / encoded.norm
    response = pb.RankResponse(
        ranked=_columns(ranked),
        relative_shift=shift,
        edited_latents=edited.edited_latents,
        idle_edits=[pb.IdleEdit(index=idle.index, reason=idle.reason) for idle in edited.idle],
    )
    if query.include_baseline:
        response.baseline.CopyFrom(_columns(baseline))
    if query.steered:
        response.baseline_items.extend(baseline.items.tolist())
    if query.include_latents:
        response.history.extend(representation.subject.history.tolist())
        _add_latents(served, encoded, edited, ranked, response)
    return response


def _columns(ranked: RankedItems) -> pb.RankedItems:
    return pb.RankedItems(
        items=ranked.items.tolist(),
        scores=ranked.scores.tolist(),
        baseline_ranks=ranked.baseline_ranks.tolist(),
        baseline_scores=ranked.baseline_scores.tolist(),
    )


def _add_latents(
    served: ServedModel,
    encoded: EncodedVector,
    edited: EditedVector,
    ranked: RankedItems,
    response: pb.RankResponse,
) -> None:
    """Write the latents that fire before or after the edits, strongest first, and what they add.

    Activations are told in units of p99; as they are where a latent never fired.
    """
    latents = np.union1d(encoded.latents, edited.latents)
    before = encoded.at(latents)
    after = before.copy()
    after[np.searchsorted(latents, edited.latents)] = edited.after
    units = served.steering.units[latents]
    strength = np.maximum(np.abs(before), np.abs(after)) / units
    order = np.argsort(-strength, kind="stable")
    order = order[strength[order] > 0]
    device = served.catalogue.weights.device
    items = torch.from_numpy(ranked.items).to(device)
    parts = attribute(
        torch.from_numpy(ranked.scores).to(device),
        torch.from_numpy(latents[order]).to(device),
        torch.from_numpy(after[order]).to(device),
        sae=served.sae,
        item_weights=served.catalogue.weights[items],
        item_biases=served.catalogue.biases[items],
    )
    told = (latents, before / units, after / units)
    columns = (*(column[order].tolist() for column in told), parts.contributions.tolist())
    for latent, activation, edited_activation, contributions in zip(*columns, strict=True):
        response.latents.add(
            latent=latent,
            activation=activation,
            edited_activation=edited_activation,
            contributions=contributions,
        )
    response.unexplained.extend(parts.unexplained.tolist())
    response.biases.extend(parts.biases.tolist())
