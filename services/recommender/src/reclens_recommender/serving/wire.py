"""InferenceService messages to queries, results to messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import grpc
import numpy as np
import numpy.typing as npt

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import InvalidInput, NotFound, RecLensError
from reclens.recommenders.base import UNKNOWN_USER
from reclens.steering.edits import (
    MAX_EDITS,
    Comparison,
    LatentCondition,
    LatentEdit,
    LatentGroup,
    Mode,
    Operation,
    Unit,
    check_latents,
)
from reclens_recommender.serving.queries import LatentTable, RankQuery, RankResult
from reclens_recommender.serving.ranking.ranker import RankedItems
from reclens_recommender.serving.representations.cache import Subject
from reclens_recommender.serving.served_model import ServedModel

MAX_TOP_K = 1000
"""Items in one answer."""
MAX_HISTORY = 10_000
"""Items in a history given with a request."""
MAX_EXCLUDED = 10_000
"""Items that a request may exclude."""
MAX_LIMITS = 100
"""Limits of tags in one request."""

_KEPT_EDITS = 4096
_LONGEST_KEPT = 4096
"""Bytes of a message beyond which an edit is not kept: callers could fill the memory with them."""

_OPERATIONS = {
    pb.EDIT_OPERATION_SET: Operation.SET,
    pb.EDIT_OPERATION_SCALE: Operation.SCALE,
    pb.EDIT_OPERATION_ADD: Operation.ADD,
    pb.EDIT_OPERATION_ABLATE: Operation.ABLATE,
}
_UNITS = {
    pb.STRENGTH_UNIT_UNSPECIFIED: Unit.P99,
    pb.STRENGTH_UNIT_P99: Unit.P99,
    pb.STRENGTH_UNIT_INPUT_NORM: Unit.INPUT_NORM,
    pb.STRENGTH_UNIT_SCORE_SPREAD: Unit.SCORE_SPREAD,
}
_COMPARISONS = {
    pb.COMPARISON_ABOVE: Comparison.ABOVE,
    pb.COMPARISON_BELOW: Comparison.BELOW,
}
_MODES = {
    pb.STEERING_MODE_UNSPECIFIED: Mode.RESIDUAL,
    pb.STEERING_MODE_RESIDUAL: Mode.RESIDUAL,
    pb.STEERING_MODE_RECONSTRUCT: Mode.RECONSTRUCT,
}


def query_of(served: ServedModel, request: pb.RankRequest) -> RankQuery:
    """What ``request`` asks of ``served``.

    Raises:
        InvalidInput: names the field.
        NotFound: an unknown user, item or tag; names the field.
    """
    subject = _subject(served, request.subject)
    if not 1 <= request.top_k <= MAX_TOP_K:
        raise InvalidInput(
            f"{request.top_k} items cannot be returned.",
            field="top_k",
            remedy=f"ask for 1 to {MAX_TOP_K}.",
        )
    if request.mode not in _MODES:
        raise InvalidInput(
            f"there is no mode {request.mode}.", field="mode", remedy="use one of the enum."
        )
    _check_count(request.edits, MAX_EDITS, "edits")
    edits = tuple(_edit(edit, f"edits[{i}]") for i, edit in enumerate(request.edits))
    check_latents(edits, served.steering.n_latents)
    return RankQuery(
        subject=subject,
        top_k=request.top_k,
        exclude_seen=request.exclude_seen,
        excluded=_excluded(served, request),
        limits=_limits(served, request),
        edits=edits,
        mode=_MODES[request.mode],
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
    if not 1 <= len(items) <= MAX_HISTORY:
        raise InvalidInput(
            f"a history of {len(items)} items cannot be ranked from.",
            field=field,
            remedy=f"give 1 to {MAX_HISTORY} items, oldest first.",
        )
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
    _check_count(request.excluded_items, MAX_EXCLUDED, "excluded_items")
    return np.unique(item_rows(request.excluded_items, served.dataset.n_items, "excluded_items"))


_NO_ITEMS = np.zeros(0, np.int64)


def _limits(served: ServedModel, request: pb.RankRequest) -> dict[str, int]:
    _check_count(request.tag_limits, MAX_LIMITS, "tag_limits")
    limits: dict[str, int] = {}
    for position, limit in enumerate(request.tag_limits):
        served.tags.check(limit.tag, f"tag_limits[{position}].tag")
        limits[limit.tag] = min(limit.max_items, limits.get(limit.tag, limit.max_items))
    return limits


def _edit(edit: pb.LatentEdit, where: str) -> LatentEdit:
    try:
        message = edit.SerializeToString()
        return (_known_edit if len(message) <= _LONGEST_KEPT else _read_edit)(message)
    except InvalidInput as error:
        field = f"{where}.{error.field}"
        raise InvalidInput(error.message, field=field, remedy=error.remedy) from error


def _read_edit(message: bytes) -> LatentEdit:
    edit = pb.LatentEdit.FromString(message)
    operation, unit = _OPERATIONS.get(edit.operation), _UNITS.get(edit.unit)
    if operation is None or unit is None:
        raise InvalidInput(
            "the edit does not say what to do.",
            field="operation",
            remedy="use SET, SCALE, ADD or ABLATE, and a unit of the enum.",
        )
    groups: list[LatentGroup] = []
    conditions: list[LatentCondition] = []
    part = ""
    try:
        for place, group in enumerate(edit.groups):
            part = f"groups[{place}]."
            groups.append(LatentGroup(tuple(group.latents), tuple(group.weights), group.share))
        for place, condition in enumerate(edit.conditions):
            part = f"conditions[{place}]."
            conditions.append(_condition(condition))
        part = ""
        return LatentEdit(tuple(groups), operation, edit.strength, unit, tuple(conditions))
    except InvalidInput as error:
        field = f"{part}{error.field}"
        raise InvalidInput(error.message, field=field, remedy=error.remedy) from error


_known_edit = lru_cache(_KEPT_EDITS)(_read_edit)
"""The same edits come again and again, and are checked once."""


def _condition(condition: pb.LatentCondition) -> LatentCondition:
    comparison = _COMPARISONS.get(condition.comparison)
    if comparison is None:
        raise InvalidInput(
            "the condition does not say what must be so.",
            field="comparison",
            remedy="use ABOVE or BELOW.",
        )
    return LatentCondition(tuple(condition.latents), comparison, condition.level)


def _check_count(values: Sequence[object], most: int, field: str) -> None:
    if len(values) > most:
        raise InvalidInput(
            f"{len(values)} {field.replace('_', ' ')} are too many.",
            field=field,
            remedy=f"send at most {most}.",
        )


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
    return pb.RankOutcome(
        failure=pb.RankFailure(
            code=grpc.StatusCode[error.grpc_code].value[0],
            reason=error.reason,
            field=error.field,
            message=error.message,
            remedy=error.remedy,
            retry_seconds=error.retry_seconds,
        )
    )
