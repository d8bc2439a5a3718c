"""Public requests to inference requests: names become latents, values are checked."""

from __future__ import annotations

from collections.abc import Sequence

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.errors import InvalidInput
from reclens.steering.edits import MAX_EDITS, check_strength
from reclens_gateway.served_release import ServedRelease

MAX_TOP_K = 1000
"""Items in one answer."""
MAX_HISTORY = 10_000
"""Items in a history."""
DEFAULT_TOP_K = 10
"""Items where the request does not say."""

_OPERATIONS = {
    "set": inference.EDIT_OPERATION_SET,
    "scale": inference.EDIT_OPERATION_SCALE,
    "add": inference.EDIT_OPERATION_ADD,
    "ablate": inference.EDIT_OPERATION_ABLATE,
}
_MODES = {
    steering.STEERING_MODE_UNSPECIFIED: inference.STEERING_MODE_RESIDUAL,
    steering.STEERING_MODE_RESIDUAL: inference.STEERING_MODE_RESIDUAL,
    steering.STEERING_MODE_RECONSTRUCT: inference.STEERING_MODE_RECONSTRUCT,
}


def rank_request(
    served: ServedRelease,
    subject: steering.Subject,
    top_k: int,
    include_seen: bool,
    *,
    edits: Sequence[steering.Edit] = (),
    mode: steering.SteeringMode = steering.STEERING_MODE_UNSPECIFIED,
    include_baseline: bool = False,
    include_latents: bool = False,
) -> inference.RankRequest:
    """What to ask the inference service.

    Raises:
        InvalidInput, NotFound: names the field.
    """
    if top_k > MAX_TOP_K:
        raise InvalidInput(
            f"{top_k} items are too many.", field="top_k", remedy=f"ask for at most {MAX_TOP_K}."
        )
    if mode not in _MODES:
        raise InvalidInput(
            f"there is no mode {mode}.",
            field="mode",
            remedy=f"use one of {', '.join(steering.SteeringMode.keys())}.",
        )
    return inference.RankRequest(
        release=served.release.name,
        release_version=served.release.version,
        subject=_subject(subject),
        top_k=top_k or DEFAULT_TOP_K,
        exclude_seen=not include_seen,
        edits=resolve_edits(served, edits),
        mode=_MODES[mode],
        include_baseline=include_baseline,
        include_latents=include_latents,
    )


def resolve_edits(
    served: ServedRelease, edits: Sequence[steering.Edit]
) -> list[inference.LatentEdit]:
    """Each edit as one edit of latents, in the same order.

    Raises:
        InvalidInput: too many, a latent out of range, no target or operation, a bad strength.
        NotFound: an unknown concept.
    """
    if len(edits) > MAX_EDITS:
        raise InvalidInput(
            f"{len(edits)} edits are too many.", field="edits", remedy=f"send at most {MAX_EDITS}."
        )
    return [_resolve(served, edit, f"edits[{index}]") for index, edit in enumerate(edits)]


def _resolve(served: ServedRelease, edit: steering.Edit, where: str) -> inference.LatentEdit:
    target, operation = edit.WhichOneof("target"), edit.WhichOneof("operation")
    if target is None:
        raise InvalidInput(
            "the edit has no target.", field=f"{where}.target", remedy="name a latent or a concept."
        )
    if operation is None:
        raise InvalidInput(
            "the edit does not say what to do.",
            field=f"{where}.operation",
            remedy="use one of set, scale, add, ablate.",
        )
    strength = 0.0
    if operation != "ablate":
        strength = getattr(edit, operation)
        if operation == "add":
            check_strength(strength, field=f"{where}.add")
        else:
            check_strength(strength, field=f"{where}.{operation}", minimum=0.0)
    if target == "latent":
        if edit.latent >= served.n_latents:
            raise InvalidInput(
                f"latent {edit.latent} does not exist.",
                field=f"{where}.latent",
                remedy=f"this release has latents 0 to {served.n_latents - 1}.",
            )
        latents, unit = (edit.latent,), inference.STRENGTH_UNIT_P99
    else:
        latents = served.concepts.get(edit.concept_id, field=f"{where}.concept_id").latents
        unit = inference.STRENGTH_UNIT_INPUT_NORM
    return inference.LatentEdit(
        latents=[inference.LatentWeight(latent=latent, weight=1) for latent in latents],
        operation=_OPERATIONS[operation],
        strength=strength,
        unit=unit,
    )


def _subject(subject: steering.Subject) -> inference.Subject:
    match subject.WhichOneof("subject"):
        case "user_id":
            return inference.Subject(user_id=subject.user_id)
        case "history":
            item_ids = subject.history.item_ids
            if not 1 <= len(item_ids) <= MAX_HISTORY:
                raise InvalidInput(
                    f"a history of {len(item_ids)} items cannot be recommended from.",
                    field="subject.history.item_ids",
                    remedy=f"give 1 to {MAX_HISTORY} item ids, oldest first.",
                )
            return inference.Subject(history=inference.ItemHistory(item_ids=item_ids))
        case _:
            raise InvalidInput(
                "nobody to recommend to.",
                field="subject",
                remedy="give a user_id or a history of item ids.",
            )
