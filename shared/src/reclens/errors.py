"""The one hierarchy of errors.

Every error that RecLens raises on purpose carries a machine-readable ``reason``, the canonical
gRPC status it maps to, whether trying again can help, the ``field`` it is about and a ``remedy``.
One gRPC interceptor and one Celery hook translate them; nothing else does. What is wrong with a
value is also a ``ValueError``, and what is missing also a ``LookupError``, so that callers who do
not know RecLens catch what they would expect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Self

from reclens.similar_names import SimilarNames


class RecLensError(Exception):
    """Base of all deliberate errors.

    Args:
        message: what is wrong, in one sentence.
        field: dotted name of the offending input, e.g. ``edits[0].concept_id``.
        remedy: what the caller can do about it, in one sentence.
        retry_seconds: when trying again may help, where that is known; 0: it is not.
    """

    reason: ClassVar[str] = "RECLENS_ERROR"
    """By which machines tell errors apart: the class's own name in capitals, unless it gives
    another. A class of another module has that of its base, unless it gives its own."""
    grpc_code: ClassVar[str] = "UNKNOWN"
    retryable: ClassVar[bool] = False
    long_outage: ClassVar[bool] = False
    """A job waits for it to pass as long as the worker's ``patience_seconds``, however often it has
    to try again. For parts that may be away for long, e.g. while a language model loads."""

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__ and "reason" not in vars(cls):
            cls.reason = re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(
        self, message: str, *, field: str = "", remedy: str = "", retry_seconds: float = 0.0
    ) -> None:
        self.message = message
        self.field = field
        self.remedy = remedy
        self.retry_seconds = retry_seconds
        # The full sentence is the only positional argument, so that Celery's JSON result
        # backend rebuilds the exception from `exc.args` without losing anything readable.
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """Field, message and remedy on one line, for logs, status messages and other errors."""
        return self._joined(" ")

    def __str__(self) -> str:
        """What is wrong, and below it what to do about it, for whoever reads a traceback."""
        return self._joined("\n")

    def bare(self) -> Self:
        """Itself without its causes and the frames that it passed, which hold what was read: for
        whoever keeps an error."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def _joined(self, separator: str) -> str:
        where = f"{self.field}: " if self.field else ""
        how = f"{separator}Remedy: {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{how}"


class InvalidInput(RecLensError, ValueError):
    """A value given by the caller is unusable."""

    grpc_code = "INVALID_ARGUMENT"


class InvalidSpec(InvalidInput):
    """A job specification does not validate."""


class MalformedData(InvalidInput):
    """A data file has a row that cannot be read; the message names file, line, column, value."""

    @classmethod
    def at(
        cls, file: str, line: int, column: str, value: object, problem: str, *, remedy: str = ""
    ) -> MalformedData:
        """Build the error for one cell. ``line`` counts from 1, the header included.

        Only what stands in a column that the specification or the format names may be ``value``:
        whoever submits a job reads the message, and the file may not be what it seemed.
        """
        return cls(
            f"{file}, line {line}, column {column!r}: {problem}, got {_quoted(value)}.",
            field=column,
            remedy=remedy or "correct the row or remove it.",
        )


def _quoted(value: object, longest: int = 80) -> str:
    text = value if isinstance(value, str) else repr(value)
    if len(text) > longest:
        return repr(text[:longest] + "…")
    return repr(value)


class NotFound(RecLensError, LookupError):
    """A named thing (user, item, concept, release, artifact, job) does not exist."""

    grpc_code = "NOT_FOUND"

    @classmethod
    def named(
        cls,
        message: str,
        name: str,
        known: Iterable[str] | SimilarNames,
        *,
        field: str,
        otherwise: str,
    ) -> Self:
        """Build the error of a name that there is not.

        Args:
            message: what is wrong.
            name: that was given.
            known: those that there are, made ready where there are many; the remedy lists up to
                three that are similar.
            field: of the name.
            otherwise: the remedy where none is.
        """
        names = known if isinstance(known, SimilarNames) else SimilarNames(known)
        similar = ", ".join(names.of(name))
        remedy = f"did you mean {similar}?" if similar else otherwise
        return cls(message, field=field, remedy=remedy)


class MissingData(NotFound):
    """A data file or data set is not where the specification says."""


class AlreadyExists(RecLensError):
    """Something of that name exists and would be overwritten."""

    grpc_code = "ALREADY_EXISTS"


class NotReady(RecLensError):
    """The request is right, but the system is not in a state to serve it (no release yet)."""

    grpc_code = "FAILED_PRECONDITION"


class VersionMismatch(RecLensError):
    """Another version of RecLens, or of a package, wrote it, and this one would make or read
    something else."""

    grpc_code = "FAILED_PRECONDITION"


class Unavailable(RecLensError):
    """A part that is needed does not answer just now."""

    grpc_code = "UNAVAILABLE"
    retryable = True


class DiskFull(Unavailable):
    """A local disk has no room left for scratch files or copies of artifacts."""

    long_outage = True


class StoreUnavailable(Unavailable):
    """Redis or the object store does not answer, or cannot do its work just now."""

    reason = Unavailable.reason
    long_outage = True


class LlmUnavailable(Unavailable):
    """The language model's server gives no answer just now, though it was asked repeatedly."""

    long_outage = True


class LlmInterrupted(LlmUnavailable):
    """The worker is stopping and waited for a language model no longer; ask again elsewhere."""


class LlmRefused(RecLensError):
    """The language model's server said no, or what is no answer, and would again."""

    grpc_code = "FAILED_PRECONDITION"
    of_this_request: bool = False
    """Whether it is the request that was refused (too long), so that others may pass."""


class StoreRefused(RecLensError):
    """The object store understood and said no: credentials or rights."""

    grpc_code = "PERMISSION_DENIED"


class CorruptArtifact(RecLensError):
    """Bytes in the store differ from what the manifest promises."""

    grpc_code = "DATA_LOSS"


class LeaseLost(RecLensError):
    """Another worker took over the artifact; what this one made must not be committed."""

    grpc_code = "ABORTED"
    retryable = True


class StaleCheckpoint(RecLensError):
    """A checkpoint cannot be taken up, e.g. because other code wrote it; the job starts over."""

    grpc_code = "ABORTED"
    retryable = True


class JobCancelled(RecLensError):
    """The job was asked to stop and has stopped at a safe point."""

    reason = "CANCELLED"
    grpc_code = "CANCELLED"


class Partial(RecLensError):
    """Some parts of a job were made and kept, others were not; it made no artifact."""

    grpc_code = "ABORTED"


class Poisoned(RecLensError):
    """The job killed its worker too often and was moved to the dead letters."""

    grpc_code = "ABORTED"


class Overloaded(RecLensError):
    """More requests wait than can be answered in good time."""

    grpc_code = "RESOURCE_EXHAUSTED"
    retryable = True


class RateLimited(Overloaded):
    """This caller has used up what it may send; ``retry_seconds`` says when it may go on."""


class Unauthenticated(RecLensError):
    """The caller did not prove who it is."""

    grpc_code = "UNAUTHENTICATED"


class PermissionDenied(RecLensError):
    """The caller is known, but may not do this."""

    grpc_code = "PERMISSION_DENIED"


class DeadlineExceeded(RecLensError):
    """The caller's deadline passed before there was an answer."""

    grpc_code = "DEADLINE_EXCEEDED"
    retryable = True


class StaleCorrection(RecLensError):
    """Somebody changed the same thing meanwhile; what was decided on may no longer be so."""

    reason = "STALE_EDIT"
    grpc_code = "ABORTED"


class StalePolicy(RecLensError):
    """Somebody changed the policy after the version that this change is based on."""

    grpc_code = "ABORTED"


class StaleRelease(RecLensError):
    """A version of the release is newest that this change does not follow."""

    grpc_code = "ABORTED"


class ReleasePinned(NotReady):
    """The release is to stay as it is; nothing is published under its name."""


class Cancelled(RecLensError):
    """The call was given up by the caller or by a server that shuts down."""

    grpc_code = "CANCELLED"


class InternalError(RecLensError):
    """A fault of the server; its log has the details under the request's id."""

    reason = "INTERNAL"
    grpc_code = "INTERNAL"
