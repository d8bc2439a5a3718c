"""What a policy must be to be stored: all that a request with its edits would be refused for."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import MAX_POLICY_BYTES, POLICY_ID, StoredPolicy, canonical_json
from reclens.contracts.policies import MAX_TEXT
from reclens.errors import InvalidInput
from reclens.platform.grpc.calls import caller, request_id
from reclens_gateway.policies.messages import stored_constraints, stored_edits, stored_mode
from reclens_gateway.resolving.constraints import add_constraints
from reclens_gateway.resolving.edits import resolve_edits
from reclens_gateway.served_release import ServedRelease

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
    mode = stored_mode(policy.mode, field="policy.mode")
    resolve_edits(served, policy.edits, field="policy.edits", check_only=True)
    add_constraints(served, policy.constraints, inference.RankRequest(), field="policy.constraints")
    stored = _stamped(
        StoredPolicy(
            policy_id=policy.policy_id,
            version=1,
            description=policy.description,
            release=served.release.name,
            edits=stored_edits(list(policy.edits)),
            mode=mode,
            constraints=stored_constraints(policy),
            autoencoder=served.release.autoencoder,
            comment=policy.comment,
            changed_at="",
        )
    )
    size = len(canonical_json(stored.canonical()))
    if size > MAX_POLICY_BYTES:
        raise InvalidInput(
            f"{size} bytes are too many for a policy.",
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
    return _stamped(
        StoredPolicy(policy_id=policy_id, version=1, comment=comment, changed_at="", deleted=True)
    )


def check_policy_id(policy_id: str, *, field: str) -> None:
    """Refuse what cannot be a policy's name.

    Raises:
        InvalidInput: names the field.
    """
    if not _POLICY_ID.fullmatch(policy_id):
        raise InvalidInput(
            f"{policy_id[:100]!r} is no name of a policy.",
            field=field,
            remedy="use 1 to 63 of a-z, 0-9 and -, beginning with a letter.",
        )


def check_text(text: str, *, field: str) -> None:
    """Refuse words that are too long, or that a terminal would take for commands.

    Raises:
        InvalidInput: names the field.
    """
    if len(text) > MAX_TEXT:
        raise InvalidInput(
            f"{len(text)} characters are too many.", field=field, remedy=f"use at most {MAX_TEXT}."
        )
    if any(unicodedata.category(one) == "Cc" and one not in "\n\t" for one in text):
        raise InvalidInput(
            "there are control characters in it.", field=field, remedy="leave them out."
        )


def _stamped(policy: StoredPolicy) -> StoredPolicy:
    return policy.model_copy(
        update={
            "author": caller(),
            "changed_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": request_id(),
        }
    )
