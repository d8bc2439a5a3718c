"""Public requests to inference requests: names become rows and latents, values are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import InvalidInput
from reclens.steering.edits import MAX_EDITS
from reclens_gateway.resolving.constraints import add_constraints
from reclens_gateway.resolving.edits import resolve_edits
from reclens_gateway.resolving.policies import FittedPolicy
from reclens_gateway.served_release import ServedRelease

MAX_TOP_K = 1000
"""Items in one answer."""
MAX_HISTORY = 10_000
"""Items in a history."""
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
    policy: FittedPolicy | None = None,
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
        mode=_mode(mode or (policy.policy.mode if policy is not None else mode)),
        include_baseline=include_baseline,
        include_latents=include_latents,
    )
    _add_subject(served, subject, question)
    applied = edits
    unknown: frozenset[str] = frozenset()
    if policy is not None:
        stored = policy.policy
        applied = [*stored.edits, *edits]
        if len(applied) > MAX_EDITS:
            raise InvalidInput(
                f"{len(applied)} edits, those of the policy included, are too many.",
                field="edits",
                remedy=f"send at most {MAX_EDITS - len(stored.edits)} with this policy.",
            )
        question.MergeFrom(policy.part)
        unknown = policy.unknown_items
    if edits:
        question.edits.extend(resolve_edits(served, edits))
    if constraints is not None:
        unknown |= add_constraints(served, constraints, question)
    return Asked(question, applied, len(unknown), _ref(policy))


def _ref(policy: FittedPolicy | None) -> steering.PolicyRef | None:
    if policy is None:
        return None
    return steering.PolicyRef(policy_id=policy.policy.policy_id, version=policy.policy.version)


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
