"""InferenceService messages to questions, answers to messages."""

from __future__ import annotations

import torch

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import InvalidInput, RecLensError
from reclens.steering.edits import MAX_EDITS, LatentEdit, Mode, Operation, Unit
from reclens_recommender.serving.ranking import RankAnswer, RankedItem, RankQuestion
from reclens_recommender.serving.served_model import ServedModel

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
}
_MODES = {
    pb.STEERING_MODE_UNSPECIFIED: Mode.RESIDUAL,
    pb.STEERING_MODE_RESIDUAL: Mode.RESIDUAL,
    pb.STEERING_MODE_RECONSTRUCT: Mode.RECONSTRUCT,
}


def question_of(request: pb.RankRequest) -> RankQuestion:
    """What ``request`` asks.

    Raises:
        InvalidInput: names the field.
    """
    subject = request.subject.WhichOneof("subject")
    if subject is None:
        raise InvalidInput(
            "nobody to rank for.", field="subject", remedy="give a user_id or a history."
        )
    if len(request.edits) > MAX_EDITS:
        raise InvalidInput(
            f"{len(request.edits)} edits are too many.",
            field="edits",
            remedy=f"send at most {MAX_EDITS}.",
        )
    if request.mode not in _MODES:
        raise InvalidInput(
            f"there is no mode {request.mode}.", field="mode", remedy="use one of the enum."
        )
    return RankQuestion(
        user_id=request.subject.user_id if subject == "user_id" else None,
        history=tuple(request.subject.history.items),
        top_k=request.top_k,
        exclude_seen=request.exclude_seen,
        edits=tuple(_edit(edit, f"edits[{i}]") for i, edit in enumerate(request.edits)),
        mode=_MODES[request.mode],
        include_baseline=request.include_baseline,
        include_latents=request.include_latents,
    )


def _edit(edit: pb.LatentEdit, where: str) -> LatentEdit:
    if edit.operation not in _OPERATIONS or edit.unit not in _UNITS:
        raise InvalidInput(
            "the edit does not say what to do.",
            field=f"{where}.operation",
            remedy="use SET, SCALE, ADD or ABLATE, and a unit of the enum.",
        )
    try:
        return LatentEdit(
            latents=tuple(latent for group in edit.groups for latent in group.latents),
            operation=_OPERATIONS[edit.operation],
            strength=edit.strength,
            unit=_UNITS[edit.unit],
            weights=tuple(weight for group in edit.groups for weight in group.weights),
        )
    except InvalidInput as error:
        field = f"{where}.{error.field}"
        raise InvalidInput(error.message, field=field, remedy=error.remedy) from error


def response_of(served: ServedModel, answer: RankAnswer) -> pb.RankResponse:
    """The message of ``answer``."""
    response = pb.RankResponse(
        ranked=_columns(answer.items),
        baseline=_columns(answer.baseline),
        relative_shift=answer.relative_shift,
        baseline_items=[item.index for item in answer.baseline],
    )
    if answer.steered is not None:
        response.edited_latents = int(answer.steered.changed.sum())
        response.idle_edits.extend(
            pb.IdleEdit(index=idle.index, reason=idle.reason) for idle in answer.steered.idle
        )
    if answer.attribution is not None:
        response.latents.extend(_latents(served, answer))
        response.unexplained.extend(answer.attribution.unexplained.tolist())
        response.biases.extend(answer.attribution.biases.tolist())
        response.history.extend(answer.history.tolist())
    return response


def _columns(items: list[RankedItem]) -> pb.RankedItems:
    return pb.RankedItems(
        items=[item.index for item in items],
        scores=[item.score for item in items],
        baseline_ranks=[item.baseline_rank for item in items],
        baseline_scores=[item.baseline_score for item in items],
    )


def _latents(served: ServedModel, answer: RankAnswer) -> list[pb.LatentActivation]:
    assert answer.steered is not None
    assert answer.attribution is not None
    # Copied at once: number by number, each would wait for the device.
    latents = answer.steered.latents.cpu()
    before, after = answer.steered.before[0].cpu(), answer.steered.after[0].cpu()
    contributions = answer.attribution.contributions.tolist()
    p99 = served.p99.cpu()[latents]
    # A latent that never fired in the captured data has no unit; its activation is given as it is.
    units = torch.where(p99 > 0, p99, torch.ones_like(p99))
    strength = torch.maximum(before.abs(), after.abs()) / units
    order = torch.argsort(strength, descending=True, stable=True)
    return [
        pb.LatentActivation(
            latent=int(latents[row]),
            activation=float(before[row] / units[row]),
            edited_activation=float(after[row] / units[row]),
            contributions=contributions[row],
        )
        for row in order[strength[order] > 0].tolist()
    ]


def failure_of(error: RecLensError, code: int) -> pb.RankFailure:
    """The outcome of an entry that was refused."""
    return pb.RankFailure(
        code=code,
        reason=error.reason,
        field=error.field,
        message=error.message,
        remedy=error.remedy,
        retry_seconds=error.retry_seconds,
    )
