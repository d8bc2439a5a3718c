"""Errors survive the wire as the same class with the same parts."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from reclens import errors
from reclens.rpc_status import error_of, status_of


def there_and_back(error: errors.RecLensError) -> errors.RecLensError:
    sent = rpc_status.to_status(status_of(error, "some-id"))
    return error_of(sent.code, sent.details, sent.trailing_metadata, "the peer")


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidInput,
        errors.InvalidSpec,
        errors.NotFound,
        errors.MissingData,
        errors.NotReady,
        errors.Unavailable,
        errors.CorruptArtifact,
        errors.Overloaded,
        errors.DeadlineExceeded,
        errors.InternalError,
    ],
)
def test_error_comes_back_as_what_was_raised(kind: type[errors.RecLensError]) -> None:
    sent = kind("something is wrong.", field="edits[0].add", remedy="mend it.")
    got = there_and_back(sent)
    assert type(got) is kind
    assert (got.message, got.field, got.remedy) == (sent.message, sent.field, sent.remedy)


def test_status_names_domain_reason_and_violated_field() -> None:
    status = status_of(errors.NotFound("no such concept.", field="concept_id"), "r-1")
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(request)
    assert (info.domain, info.reason) == ("reclens", "NOT_FOUND")
    assert (info.metadata["request_id"], info.metadata["retryable"]) == ("r-1", "false")
    assert request.field_violations[0].field == "concept_id"


@pytest.mark.parametrize("character", ["x", "\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{MOUSE}"])
def test_status_stays_below_the_cap_on_trailers(character: str) -> None:
    long = character * 50_000
    status = status_of(errors.NotFound(long, field=long, remedy=long), long)
    # grpc-message is percent-encoded and the details are base64 on the wire.
    on_wire = 3 * len(status.message.encode()) + 4 * len(status.SerializeToString()) / 3
    assert on_wire < 8192


def test_text_that_is_no_unicode_still_becomes_a_status() -> None:
    assert status_of(errors.NotFound("there is no user '\udcff'.")).message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (grpc.StatusCode.CANCELLED, errors.Overloaded),
        (grpc.StatusCode.UNIMPLEMENTED, errors.InternalError),
    ],
)
def test_status_without_details_becomes_the_nearest_error(
    code: grpc.StatusCode, kind: type[errors.RecLensError]
) -> None:
    assert type(error_of(code, "text", None, "the peer")) is kind
