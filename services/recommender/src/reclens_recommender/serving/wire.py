"""InferenceService messages to queries, results to messages."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import InvalidInput, NotFound, RecLensError
from reclens.recommenders.base import UNKNOWN_USER
from reclens.rpc_status import failure_fields
from reclens.steering.edits import check_latents
from reclens.steering.limits import (
    MAX_EXCLUDED,
    MAX_HISTORY,
    MAX_TAG_LIMITS,
    MAX_TOP_K,
    check_count,
)
from reclens.steering.wire import read_latent_edits, read_mode
from reclens_recommender.serving.queries import LatentTable, RankQuery, RankResult
from reclens_recommender.serving.ranking.ranker import RankedItems
from reclens_recommender.serving.representations.cache import Subject
from reclens_recommender.serving.served_model import ServedModel


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


def timeout_of(request: pb.RankRequest) -> float:
    """Seconds that an answer is of use.

    Raises:
        InvalidInput: it is not a number of seconds.
    """
    seconds = request.timeout_seconds
    if not 0 <= seconds < math.inf:
        raise InvalidInput(
            f"{seconds:g} seconds are no time.",
            field="timeout_seconds",
            remedy="give a number of seconds, or 0 for none.",
        )
    return seconds or math.inf


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
        return _NO_ITEMS
    check_count(len(request.excluded_items), MAX_EXCLUDED, "excluded items", field="excluded_items")
    return np.unique(item_rows(request.excluded_items, served.dataset.n_items, "excluded_items"))


_NO_ITEMS = np.zeros(0, np.int64)


def _limits(served: ServedModel, request: pb.RankRequest) -> dict[str, int]:
    check_count(len(request.tag_limits), MAX_TAG_LIMITS, "tag limits", field="tag_limits")
    limits: dict[str, int] = {}
    for position, limit in enumerate(request.tag_limits):
        served.tags.check(limit.tag, f"tag_limits[{position}].tag")
        limits[limit.tag] = min(limit.max_items, limits.get(limit.tag, limit.max_items))
    return limits


def response_of(result: RankResult) -> pb.RankResponse:
    """The message of ``result``."""
    response = pb.RankResponse(
        ranked=_ranked(result.ranked),
        relative_shift=result.relative_shift,
        edited_latents=result.edited_latents,
        idle_edits=[pb.IdleEdit(index=idle.index, reason=idle.reason) for idle in result.idle],
    )
    if result.baseline is not None:
        response.baseline.CopyFrom(_ranked(result.baseline))
    if result.baseline_items is not None:
        response.baseline_items.extend(result.baseline_items.tolist())
    if result.latents is not None:
        response.latents.extend(_latents(result.latents))
        response.unexplained.extend(result.latents.attribution.unexplained.tolist())
        response.biases.extend(result.latents.attribution.biases.tolist())
        response.history.extend(result.history.tolist())
    return response


def _ranked(ranked: RankedItems) -> pb.RankedItems:
    return pb.RankedItems(
        items=ranked.items.tolist(),
        scores=ranked.scores.tolist(),
        baseline_ranks=ranked.baseline_ranks.tolist(),
        baseline_scores=ranked.baseline_scores.tolist(),
    )


def _latents(table: LatentTable) -> list[pb.LatentActivation]:
    columns = (table.latents, table.before, table.after, table.attribution.contributions)
    return [
        pb.LatentActivation(
            latent=latent,
            activation=before,
            edited_activation=after,
            contributions=contributions,
        )
        for latent, before, after, contributions in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def failure_of(error: RecLensError) -> pb.RankOutcome:
    """The outcome of an entry that was refused."""
    return pb.RankOutcome(failure=pb.RankFailure(**failure_fields(error)))
