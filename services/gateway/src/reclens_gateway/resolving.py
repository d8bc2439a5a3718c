"""Public requests to inference requests: names become rows and latents, values are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import InvalidInput
from reclens.steering.edits import MAX_EDITS
from reclens_gateway.resolving_edits import resolve_edits
from reclens_gateway.served_release import ServedRelease

MAX_TOP_K = 1000
"""Items in one answer."""
MAX_HISTORY = 10_000
"""Items in a history."""
MAX_EXCLUDED = 10_000
"""Items that constraints may exclude."""
MAX_TAG_LIMITS = 100
"""Tags that constraints may limit."""
DEFAULT_TOP_K = 10
"""Items where the request does not say."""

_MODES = {
    steering.STEERING_MODE_UNSPECIFIED: inference.STEERING_MODE_RESIDUAL,
    steering.STEERING_MODE_RESIDUAL: inference.STEERING_MODE_RESIDUAL,
    steering.STEERING_MODE_RECONSTRUCT: inference.STEERING_MODE_RECONSTRUCT,
}


@dataclass(frozen=True)
class Asked:
    """A request, resolved against one version of a release."""

    question: inference.RankRequest
    """What to ask the inference service."""
    edits: Sequence[steering.Edit] = ()
    """All edits that are applied: the policy's first, then the request's."""
    unknown_excluded: int = 0
    """Excluded ids that the data set does not have."""
    policy: steering.PolicyRef | None = None
    """The policy whose edits these are."""


def resolve(
    served: ServedRelease,
    subject: steering.Subject,
    top_k: int,
    include_seen: bool,
    *,
    edits: Sequence[steering.Edit] = (),
    mode: int = steering.STEERING_MODE_UNSPECIFIED,
    constraints: steering.Constraints | None = None,
    policy: steering.Policy | None = None,
    include_baseline: bool = False,
    include_latents: bool = False,
) -> Asked:
    """What to ask the inference service.

    Args:
        served: the version to answer from.
        subject: whom to recommend to.
        top_k: items to return; 0: `DEFAULT_TOP_K`.
        include_seen: keep items of the history among the candidates.
        edits: the request's.
        mode: the request's; not given: the policy's.
        constraints: the request's.
        policy: whose edits come first, and whose constraints hold as well.
        include_baseline: also rank without edits.
        include_latents: also list latents and contributions.

    Raises:
        InvalidInput, NotFound: names the field.
    """
    if top_k > MAX_TOP_K:
        raise InvalidInput(
            f"{top_k} items are too many.", field="top_k", remedy=f"ask for at most {MAX_TOP_K}."
        )
    question = inference.RankRequest(
        release=served.release.name,
        release_version=served.release.version,
        top_k=top_k or DEFAULT_TOP_K,
        exclude_seen=not include_seen,
        mode=_mode(mode or (policy.mode if policy is not None else mode)),
        include_baseline=include_baseline,
        include_latents=include_latents,
    )
    _add_subject(served, subject, question)
    applied = edits
    if policy is not None and policy.edits:
        applied = [*policy.edits, *edits]
        if len(applied) > MAX_EDITS:
            raise InvalidInput(
                f"{len(applied)} edits, those of the policy included, are too many.",
                field="edits",
                remedy=f"send at most {MAX_EDITS - len(policy.edits)} with this policy.",
            )
        question.edits.extend(resolve_edits(served, policy.edits, field="policy.edits"))
    if edits:
        question.edits.extend(resolve_edits(served, edits))
    unknown = 0
    if policy is not None and policy.HasField("constraints"):
        unknown += add_constraints(served, policy.constraints, question, field="policy.constraints")
    if constraints is not None:
        unknown += add_constraints(served, constraints, question)
    return Asked(question, applied, unknown, _ref(policy))


def add_constraints(
    served: ServedRelease,
    constraints: steering.Constraints,
    question: inference.RankRequest,
    *,
    field: str = "constraints",
) -> int:
    """Add ``constraints`` to those of ``question``: of two limits of a tag the lower one stays.

    Returns:
        Excluded ids that the data set does not have.

    Raises:
        InvalidInput: too many, or a tag twice.
        NotFound: a tag that no item has.
    """
    excluded = constraints.exclude_item_ids
    if len(excluded) > MAX_EXCLUDED:
        raise InvalidInput(
            f"{len(excluded)} items are too many to exclude.",
            field=f"{field}.exclude_item_ids",
            remedy=f"exclude at most {MAX_EXCLUDED}.",
        )
    unknown = 0
    if excluded:
        rows = {served.items.find(item_id) for item_id in excluded}
        unknown = sum(item_id not in served.items for item_id in set(excluded))
        question.excluded_items.extend(rows.difference({None}, question.excluded_items))  # pyright: ignore[reportArgumentType]
    if constraints.tag_limits:
        _add_tag_limits(served, constraints.tag_limits, question, f"{field}.tag_limits")
    return unknown


def _add_tag_limits(
    served: ServedRelease,
    limits: Sequence[steering.TagLimit],
    question: inference.RankRequest,
    field: str,
) -> None:
    if len(limits) > MAX_TAG_LIMITS:
        raise InvalidInput(
            f"{len(limits)} limits are too many.",
            field=field,
            remedy=f"send at most {MAX_TAG_LIMITS}.",
        )
    named: set[str] = set()
    before = {limit.tag: limit for limit in question.tag_limits}
    for position, limit in enumerate(limits):
        where = f"{field}[{position}].tag"
        served.items.check_tag(limit.tag, field=where)
        if limit.tag in named:
            raise InvalidInput(
                f"the tag {limit.tag!r} has two limits.", field=where, remedy="give one."
            )
        named.add(limit.tag)
        if limit.tag in before:
            before[limit.tag].max_items = min(before[limit.tag].max_items, limit.max_items)
        else:
            question.tag_limits.add(tag=limit.tag, max_items=limit.max_items)


def _ref(policy: steering.Policy | None) -> steering.PolicyRef | None:
    if policy is None:
        return None
    return steering.PolicyRef(policy_id=policy.policy_id, version=policy.version)


def _mode(mode: int) -> inference.SteeringMode:
    try:
        return _MODES[mode]  # pyright: ignore[reportArgumentType]
    except KeyError:
        raise InvalidInput(
            f"there is no mode {mode}.",
            field="mode",
            remedy=f"use one of {', '.join(steering.SteeringMode.keys())}.",
        ) from None


def _add_subject(
    served: ServedRelease, subject: steering.Subject, question: inference.RankRequest
) -> None:
    match subject.WhichOneof("subject"):
        case "user_id":
            question.subject.user_id = subject.user_id
        case "history":
            item_ids, field = subject.history.item_ids, "subject.history.item_ids"
            if not 1 <= len(item_ids) <= MAX_HISTORY:
                raise InvalidInput(
                    f"a history of {len(item_ids)} items cannot be recommended from.",
                    field=field,
                    remedy=f"give 1 to {MAX_HISTORY} item ids, oldest first.",
                )
            question.subject.history.items.extend(served.items.rows(item_ids, field=field))
        case _:
            raise InvalidInput(
                "nobody to recommend to.",
                field="subject",
                remedy="give a user_id or a history of item ids.",
            )
