"""What S3 answers where it does not do what it was asked: gone, passing, or refused, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from minio.error import S3Error

from reclens.errors import NotFound, RecLensError, StoreRefused, StoreUnavailable

_MISSING = {"NoSuchKey", "NoSuchBucket", "NoSuchObject", "NoSuchUpload", "ResourceNotFound"}
# What S3 says where the same request may well pass later: it is busy, or others are at the same
# key, or what it received was damaged on its way.
_PASSING = {
    *("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout"),
    *("OperationAborted", "ConditionalRequestConflict"),
    *("IncompleteBody", "BadDigest"),
}
PASSING_STATUS = (429, 500, 502, 503, 504)
"""With which S3 answers what may pass; its own errors do, too: its makers ask to try again."""
# S3 takes a request for a quarter of an hour. Well before, the clock is what to look at.
_SKEW_SECONDS = 300


def refusal_of(error: S3Error, bucket: str, key: str) -> RecLensError:
    """The error to raise for what S3 answered to a request about ``key``."""
    code, status = error.code or "", error.response.status
    if code == "NoSuchBucket":
        return NotFound(f"there is no bucket {bucket}.", field="s3.bucket")
    if code in _MISSING or status == HTTPStatus.NOT_FOUND:
        return NotFound(f"object {bucket}/{key} does not exist.", field="object")
    if code in _PASSING or status in PASSING_STATUS:
        return StoreUnavailable(
            f"the object store answered {code} ({status}).", field="s3.endpoint"
        )
    why = f"{code} {error.message or ''}".strip()
    return StoreRefused(
        f"the object store refused {bucket}/{key}: {why}.",
        field="s3",
        remedy=_clock_remedy(code, error.response.headers.get("Date"))
        or "check RECLENS_S3__ACCESS_KEY, RECLENS_S3__SECRET_KEY and their rights.",
    )


def _clock_remedy(code: str, date: str | None) -> str:
    """What to do where a signature is refused for its time; empty where that is not why."""
    try:
        told = parsedate_to_datetime(date or "").astimezone(UTC)
    except ValueError:
        ahead = 0.0
    else:
        ahead = (datetime.now(UTC) - told).total_seconds()
    if abs(ahead) > _SKEW_SECONDS:
        where = "ahead of" if ahead > 0 else "behind"
        return (
            f"set the clock of this machine: it is {abs(ahead) / 60:.0f} minutes {where} the "
            "store's."
        )
    if code == "RequestTimeTooSkewed":
        return "set the clocks of this machine and of the store's."
    return ""
