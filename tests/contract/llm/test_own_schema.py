"""What goes over the wire, against the facts of TGI's API that were written down by hand."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import tgi_schema
from running_lookalike import Lookalike


def faults(body: Any, schema: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]


def test_every_request_of_ours_is_one_of_tgis(traffic):
    assert len(traffic.requests) == 4  # two labels, grades, and a repair of them
    for body in traffic.requests:
        assert faults(body, tgi_schema.REQUEST) == []
        # Whoever writes a schema that is none learns it from TGI as a 422.
        jsonschema.Draft202012Validator.check_schema(body["response_format"]["value"])


def test_every_answer_of_the_lookalike_is_one_of_tgis(traffic):
    assert len(traffic.answers) == 4
    for body in traffic.answers:
        assert faults(body, tgi_schema.ANSWER) == []
    assert {str(status) for status in traffic.errors} == tgi_schema.STATUSES - {"200"}
    for body in traffic.errors.values():
        assert faults(body, tgi_schema.ERROR) == []


@pytest.mark.parametrize("form", ["json_object", "json_schema"])
def test_other_forms_of_a_grammar_are_none_of_tgis(traffic, form: str):
    """OpenAI's, and what Hugging Face's client makes of it."""
    body = traffic.requests[0]
    schema = body["response_format"]["value"]
    forms = {
        "json_object": {"type": "json_object", "value": schema},
        "json_schema": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }
    assert faults({**body, "response_format": forms[form]}, tgi_schema.REQUEST) != []


def test_what_the_model_is_asked_for_is_what_the_schema_describes(traffic):
    """The look-alike's content validates against the schema that came with the request."""
    for request, answer in zip(traffic.requests, traffic.answers, strict=True):
        content = json.loads(answer["choices"][0]["message"]["content"])
        assert faults(content, request["response_format"]["value"]) == []


def test_health_and_info_answer(tgi: Lookalike):
    assert tgi.get("/health") is None
    assert tgi.get("/info")["model_id"] == "lookalike/none"
