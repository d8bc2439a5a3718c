"""Public constraints to those of the inference service: items become rows, tags are checked."""

from __future__ import annotations

from collections.abc import Sequence

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import InvalidInput
from reclens_gateway.served_release import ServedRelease

MAX_EXCLUDED = 10_000
"""Items that constraints may exclude, those of a policy included."""
MAX_TAG_LIMITS = 100
"""Tags that constraints may limit."""


def add_constraints(
    served: ServedRelease,
    constraints: steering.Constraints,
    question: inference.RankRequest,
    *,
    field: str = "constraints",
) -> set[str]:
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
    unknown: set[str] = set()
    if excluded:
        rows = set(question.excluded_items)
        for item_id in excluded:
            row = served.items.find(item_id)
            if row is None:
                unknown.add(item_id)
            else:
                rows.add(row)
        if len(rows) > MAX_EXCLUDED:
            raise InvalidInput(
                f"{len(rows)} items, those of the policy included, are too many to exclude.",
                field=f"{field}.exclude_item_ids",
                remedy=f"exclude at most {MAX_EXCLUDED} together.",
            )
        question.excluded_items[:] = sorted(rows)
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
