"""How a labelling ends whose shards were not all made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reclens import errors
from reclens.contracts import ConceptShardSpec, FailureReport
from reclens.errors import Partial, RecLensError


def verdict(
    n_shards: int, missing: Sequence[ConceptShardSpec], failed: Mapping[int, FailureReport]
) -> RecLensError:
    """The error to end with.

    `Partial`, naming every range that is missing, for what reason. Where nothing at all was made,
    and all for one reason that trying again does not change, it is that reason: the job's inputs
    are at fault, and to submit it again would be in vain.

    Args:
        n_shards: of the labelling.
        missing: those that do not exist, in order.
        failed: by first latent, why; one that is not named was made and is gone.
    """
    reports = [failed.get(shard.first, _GONE) for shard in missing]
    first = reports[0]
    if len(missing) == n_shards and not first.retryable and len({_why(r) for r in reports}) == 1:
        return _rebuilt(first)
    ranges: dict[str, list[range]] = {}
    for shard, report in zip(missing, reports, strict=True):
        same = ranges.setdefault(_why(report), [])
        if same and same[-1].stop == shard.first:
            same[-1] = range(same[-1].start, shard.stop)
        else:
            same.append(shard.latents)
    listed = "; ".join(
        f"latents {', '.join(f'{one.start}-{one.stop - 1}' for one in same)}: {why.rstrip('.')}"
        for why, same in ranges.items()
    )
    return Partial(
        f"{len(missing)} of {n_shards} shards were not made. {listed}.",
        remedy="submit the same job again: it makes only those.",
    )


_GONE = FailureReport(
    reason="GONE", type="Gone", message="it was made and is gone again", retryable=True
)


def _why(report: FailureReport) -> str:
    return f"{report.type}: {report.message}"


def _rebuilt(report: FailureReport) -> RecLensError:
    kind = getattr(errors, report.type, None)
    if not (isinstance(kind, type) and issubclass(kind, RecLensError)):
        kind = errors.InternalError
        return kind(_why(report), field=report.field, remedy=report.remedy)
    return kind(report.message, field=report.field, remedy=report.remedy)
