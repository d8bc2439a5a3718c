"""A policy before it is stored: all that a request with its edits would be refused for."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import canonical_json
from reclens.errors import InvalidInput
from reclens.platform.grpc.calls import caller, request_id
from reclens.steering.limits import MAX_POLICY_BYTES, MAX_TEXT, check_count
from reclens.steering.policies import POLICY_ID, StoredPolicy
from reclens.steering.wire import read_mode, resolve_edits
from reclens_gateway.resolving.requests import add_constraints
from reclens_gateway.resolving.served_release import ServedRelease

_POLICY_ID = re.compile(POLICY_ID)


def checked_policy(policy: pb.Policy, served: ServedRelease) -> StoredPolicy:
    """The policy as it is to be stored, checked against its release; its version is not set.

    What the service sets (autoencoder, author, time) is set here, whatever the caller wrote there.

    Raises:
        InvalidInput, NotFound: names the field, under ``policy``.
    """
    check_policy_id(policy.policy_id, field="policy.policy_id")
    check_text(policy.description, field="policy.description")
    check_text(policy.comment, field="policy.comment")
    read_mode(policy.mode, field="policy.mode")
    resolve_edits(policy.edits, served.pushes, field="policy.edits", check_only=True)
    add_constraints(served, policy.constraints, inference.RankRequest(), field="policy.constraints")
    release = served.release
    stored = StoredPolicy.of(
        policy, release=release.name, autoencoder=release.autoencoder, **_stamp()
    )
    check_count(
        len(canonical_json(stored.canonical())),
        MAX_POLICY_BYTES,
        "bytes of a policy",
        field="policy",
        remedy=f"at most {MAX_POLICY_BYTES} are stored; exclude fewer items.",
    )
    return stored


def deletion(policy_id: str, comment: str) -> StoredPolicy:
    """The version that deletes a policy; its version is not set.

    Raises:
        InvalidInput: names the field.
    """
    check_policy_id(policy_id, field="policy_id")
    check_text(comment, field="comment")
    return StoredPolicy(policy_id=policy_id, version=1, comment=comment, deleted=True, **_stamp())


def check_policy_id(policy_id: str, *, field: str) -> None:
    """Refuse what cannot be a policy's name.

    Raises:
        InvalidInput: names the field.
    """
    if not _POLICY_ID.fullmatch(policy_id):
        raise InvalidInput(
            f"{policy_id[:100]!r} cannot be the name of a policy.",
            field=field,
            remedy="use 1 to 63 of a-z, 0-9 and -, beginning with a letter.",
        )


def check_text(text: str, *, field: str) -> None:
    """Refuse words that are too long, or that a terminal would take for commands.

    Raises:
        InvalidInput: names the field.
    """
    check_count(len(text), MAX_TEXT, "characters", field=field)
    if any(unicodedata.category(one) == "Cc" and one not in "\n\t" for one in text):
        raise InvalidInput(
            "there are control characters in it.", field=field, remedy="leave them out."
        )


def _stamp() -> dict[str, Any]:
    """Who writes a version, when, and in which request."""
    return {
        "author": caller(),
        "changed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": request_id(),
    }
