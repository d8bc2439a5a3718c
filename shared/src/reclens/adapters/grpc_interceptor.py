"""Former name of `grpc_call`."""

from reclens.adapters.grpc_call import (
    MAX_REQUEST_ID,
    REQUEST_ID_KEY,
    check_request_id,
    request_id,
    seconds_left,
)

__all__ = ["MAX_REQUEST_ID", "REQUEST_ID_KEY", "check_request_id", "request_id", "seconds_left"]
