"""What a call that must fail was refused with."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

_NAMING_A_FIELD = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


def refusal(call: Any, request: Any, **options: Any) -> tuple[grpc.StatusCode, str, str, str]:
    """Code, reason, violated field and message of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, **options)
    status = rpc_status.from_call(caught.value)  # pyright: ignore[reportArgumentType]
    assert status is not None
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    fields = []
    for detail in status.details:
        if detail.Unpack(violations):
            fields = [violation.field for violation in violations.field_violations]
        detail.Unpack(info)
    assert info.domain == "reclens"
    assert info.metadata["request_id"]
    if info.metadata["field"] and caught.value.code() in _NAMING_A_FIELD:
        assert fields == [info.metadata["field"]]
    return caught.value.code(), info.reason, info.metadata["field"], status.message
