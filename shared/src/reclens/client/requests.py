"""Arguments to request messages, for both clients.

Limits that are named here, and their values, are those of `reclens.steering.limits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, Unpack

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput
from reclens.steering.limits import DEFAULT_TOP_K, MAX_PAGE_SIZE

Mode = Literal["residual", "reconstruct"]
"""How edits are written back."""

MODES = {
    "residual": pb.STEERING_MODE_RESIDUAL,
    "reconstruct": pb.STEERING_MODE_RECONSTRUCT,
}
"""Modes of the wire by name."""


class SubjectOptions(TypedDict, total=False):
    """Whom to recommend to, from what, and how much."""

    user_id: str | None
    """A user of the data set."""
    history: Iterable[str] | None
    """Item ids, oldest first, for anybody else."""
    top_k: int
    """Items to return, 1 to `MAX_TOP_K`. Not given: `DEFAULT_TOP_K`."""
    include_seen: bool
    """Keep items of the history among the candidates."""
    release: str
    """Release to answer from. Not given: ``default``."""
    request_id: str
    """For logs and traces. Not given: the gateway makes one."""


class SteeringOptions(TypedDict, total=False):
    """What is changed, and what may be in an answer."""

    edits: Iterable[pb.Edit]
    """What to change, see `reclens.client.edits`. At most `MAX_EDITS`."""
    exclude: Iterable[str]
    """Item ids that must not be in the answer."""
    limits: Mapping[str, int]
    """Most items of the answer that may carry a tag, by tag."""
    mode: Mode | None
    """``reconstruct`` drops what the dictionary does not explain. Not given: as a policy that the
    request names says, else ``residual``."""


class RecommendOptions(SubjectOptions, SteeringOptions, total=False):
    """What Recommend takes."""

    policy: str
    """A stored policy, whose edits come before ``edits``: its name, or ``name@version``."""
    include_baseline: bool
    """Also return the untouched answer."""
    explain: bool
    """Also return the firing latents and their contributions."""


class PolicyOptions(SteeringOptions, total=False):
    """What a policy says."""

    description: str
    """What it is for."""
    release: str
    """Release that it is checked against. Not given: ``default``."""
    comment: str
    """Why it is made, for the record."""


def subject(user_id: str | None, history: Iterable[str] | None) -> pb.Subject:
    """Whom to recommend to.

    Raises:
        InvalidInput: both or neither are given.
    """
    if (user_id is None) == (history is None):
        raise InvalidInput(
            "give either a user_id or a history.", field="subject", remedy="drop one, or add one."
        )
    if user_id is not None:
        return pb.Subject(user_id=user_id)
    return pb.Subject(history=pb.ItemHistory(item_ids=history))


def _subject_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as fields of a request about a subject."""
    fields: dict[str, Any] = {"top_k": DEFAULT_TOP_K, **options}
    fields["subject"] = subject(fields.pop("user_id", None), fields.pop("history", None))
    return fields


def _steering_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as fields of a message with edits, constraints and a mode."""
    fields = {**options, "mode": steering_mode(options.get("mode"))}
    fields["constraints"] = constraints(fields.pop("exclude", None), fields.pop("limits", None))
    return fields


def recommend_request(**options: Unpack[RecommendOptions]) -> pb.RecommendRequest:
    """A request of Recommend; also an entry of BatchRecommend and the start of a session.

    Args:
        options: see `RecommendOptions`.

    Raises:
        InvalidInput: not exactly one of ``user_id`` and ``history``, an unknown mode, or a version
            that is no number.
    """
    fields = _subject_fields(_steering_fields(options))
    fields["policy"] = policy_ref(options.get("policy", ""))
    return pb.RecommendRequest(**fields)


def explain_request(**options: Unpack[SubjectOptions]) -> pb.ExplainRequest:
    """A request of Explain.

    Raises:
        InvalidInput: not exactly one of ``user_id`` and ``history``.
    """
    return pb.ExplainRequest(**_subject_fields(options))


def compare_request(
    variants: Mapping[str, Iterable[pb.Edit]] | Iterable[pb.Variant],
    *,
    exclude: Iterable[str] = (),
    limits: Mapping[str, int] | None = None,
    **options: Unpack[SubjectOptions],
) -> pb.CompareRequest:
    """A request of Compare.

    Args:
        variants: lists of edits by name; or variants, which may also name policies and modes.
        exclude: item ids that must not be in any answer.
        limits: most items of an answer that may carry a tag, by tag.
        options: see `SubjectOptions`.

    Raises:
        InvalidInput: not exactly one of ``user_id`` and ``history``.
    """
    if isinstance(variants, Mapping):
        variants = [pb.Variant(name=str(name), edits=edits) for name, edits in variants.items()]
    return pb.CompareRequest(
        **_subject_fields(options), constraints=constraints(exclude, limits), variants=variants
    )


def propose_request(
    text: str | None,
    liked: Iterable[str],
    disliked: Iterable[str],
    *,
    max_latents: int,
    trusted_only: bool,
    release: str,
) -> pb.ProposeEditRequest:
    """A request of ProposeEdit.

    Raises:
        InvalidInput: a text and items are given, or neither.
    """
    examples = pb.Examples(liked_item_ids=liked, disliked_item_ids=disliked)
    if (text is None) != bool(examples.liked_item_ids or examples.disliked_item_ids):
        raise InvalidInput(
            "give either a text or items.", field="query", remedy="drop one, or add one."
        )
    return pb.ProposeEditRequest(
        text=text,
        examples=examples if text is None else None,
        max_latents=max_latents,
        trusted_only=trusted_only,
        release=release,
    )


def search_request(
    text: str | None, item_id: str | None, user_id: str | None, release: str
) -> pb.SearchConceptsRequest:
    """A search by exactly one thing.

    Raises:
        InvalidInput: none or several are given.
    """
    given = sum(one is not None for one in (text, item_id, user_id))
    if given != 1:
        raise InvalidInput(
            f"{given} things to search by.",
            field="query",
            remedy="give exactly one of text, item_id, user_id.",
        )
    return pb.SearchConceptsRequest(
        release=release, page_size=MAX_PAGE_SIZE, text=text, item_id=item_id, user_id=user_id
    )


def policy_message(policy_id: str, **options: Unpack[PolicyOptions]) -> pb.Policy:
    """A policy to be stored.

    Args:
        policy_id: its name: 1 to 63 of a-z, 0-9 and -, beginning with a letter.
        options: see `PolicyOptions`.

    Raises:
        InvalidInput: an unknown mode.
    """
    return pb.Policy(policy_id=policy_id, **_steering_fields(options))


def create_request(
    policy: str | pb.Policy, **options: Unpack[PolicyOptions]
) -> pb.CreatePolicyRequest:
    """A request of CreatePolicy.

    Raises:
        InvalidInput: options beside a whole policy, or an unknown mode.
    """
    if isinstance(policy, str):
        return pb.CreatePolicyRequest(policy=policy_message(policy, **options))
    if options:
        raise InvalidInput(
            "options beside a whole policy.", field="policy", remedy="write them into the policy."
        )
    return pb.CreatePolicyRequest(policy=policy)


def constraints(
    exclude: Iterable[str] | None, limits: Mapping[str, int] | None
) -> pb.Constraints | None:
    """What may be in an answer; None: anything."""
    tags = [pb.TagLimit(tag=tag, max_items=most) for tag, most in (limits or {}).items()]
    limited = pb.Constraints(exclude_item_ids=exclude or (), tag_limits=tags)
    return limited if limited.exclude_item_ids or tags else None


def policy_ref(policy: str) -> pb.PolicyRef | None:
    """A policy by ``name`` or ``name@version``; None for an empty name.

    Raises:
        InvalidInput: the version is no number, or too large for one.
    """
    if not policy:
        return None
    name, _, version = policy.partition("@")
    if version and not (version.isdecimal() and int(version[:11]) < 1 << 32):
        raise InvalidInput(
            f"{version!r} is no version.", field="policy", remedy="write name or name@version."
        )
    return pb.PolicyRef(policy_id=name, version=int(version or 0))


def steering_mode(mode: Mode | None) -> pb.SteeringMode:
    """The mode by its name.

    Raises:
        InvalidInput: there is no such mode.
    """
    if mode is None:
        return pb.STEERING_MODE_UNSPECIFIED
    if mode not in MODES:
        raise InvalidInput(
            f"there is no mode {mode!r}.", field="mode", remedy=f"use {' or '.join(MODES)}."
        )
    return MODES[mode]
