"""Messages in the queues: what is one is let through, what is none is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from reclens.platform.celery.redis_transport import Envelope


def message(body: str) -> dict[str, Any]:
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {
            "delivery_tag": "1",
            "delivery_info": {"exchange": "reclens", "routing_key": "capture"},
            "body_encoding": "base64",
            "correlation_id": "1",
        },
        "headers": {"task": "reclens.activations.capture.v1", "id": "1"},
    }


@pytest.mark.parametrize("value", [{}, {"seed": 1}, {"name": "\ud800"}, {"seed": float("nan")}])
def test_a_call_that_its_job_refuses_reaches_it(value: object) -> None:
    Envelope.model_validate(message(json.dumps([[], {"spec": value}, None])))


@pytest.mark.parametrize("body", ["", "{", "1", "[]", "[[], 1, {}]", "[" * 100_000 + "]" * 100_000])
def test_what_is_no_call_is_none(body: str) -> None:
    with pytest.raises(ValidationError, match="body"):
        Envelope.model_validate(message(body))
