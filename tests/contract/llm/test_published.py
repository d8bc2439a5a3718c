"""The same traffic, and our own schemas, against the OpenAPI document that TGI publishes.

Its path is taken from RECLENS_TEST_TGI_OPENAPI; it is not part of the project. Without it
`test_own_schema.py` still holds all traffic to the facts that are compared here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tgi_schema
from running_lookalike import Lookalike

VARIABLE = "RECLENS_TEST_TGI_OPENAPI"

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name TGI's OpenAPI document"
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(Path(os.environ[VARIABLE]).read_text())


@pytest.fixture(scope="module")
def faults(document: dict[str, Any]):
    """Maker of the list of what is wrong with a body, by the name of a published schema."""

    def check(body: Any, name: str) -> list[str]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return [
            error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)
        ]

    return check


def test_every_request_of_ours_is_one_of_tgis(traffic, faults):
    for body in traffic.requests:
        assert faults(body, "ChatRequest") == []


def test_every_answer_of_the_lookalike_is_one_of_tgis(traffic, tgi: Lookalike, faults):
    for body in traffic.answers:
        assert faults(body, "ChatCompletion") == []
    for body in traffic.errors.values():
        assert faults(body, "ErrorResponse") == []
    assert faults(tgi.get("/info"), "Info") == []


def test_other_forms_of_a_grammar_are_none_of_tgis(traffic, faults):
    """So the check above can fail, and Hugging Face's own rewriting would not pass it."""
    body = traffic.requests[0]
    schema = body["response_format"]["value"]
    for form in (
        {"type": "json_object", "value": schema},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    ):
        assert faults({**body, "response_format": form}, "ChatRequest") != []


def merged(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A published schema with its references and ``allOf`` resolved: required, properties, type."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return merged(document, document["components"]["schemas"][name])
    parts = [merged(document, part) for part in schema.get("allOf", [])]
    found: dict[str, Any] = {**schema}
    found["properties"] = dict(schema.get("properties", {}))
    found["required"] = set(schema.get("required", []))
    for part in parts:
        found["properties"].update(part["properties"])
        found["required"] |= part["required"]
        found.setdefault("type", part.get("type"))
        if "oneOf" in part:
            found["oneOf"] = part["oneOf"]
    return found


def chosen(document: dict[str, Any], schema: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Of the alternatives of a published schema the one that ours is about."""
    whole = merged(document, schema)
    fitting = []
    for alternative in whole.pop("oneOf", [{}]):
        part = merged(document, alternative)
        one = {
            **whole,
            **part,
            "properties": {**whole["properties"], **part["properties"]},
            "required": whole["required"] | part["required"],
            "type": part.get("type", whole.get("type")),
        }
        if fits(one, own):
            fitting.append(one)
    assert len(fitting) == 1, f"{len(fitting)} published alternatives for {own}"
    return fitting[0]


def fits(published: dict[str, Any], own: dict[str, Any]) -> bool:
    fields = own.get("properties", {})
    if not set(fields) <= set(published["properties"]):
        return False
    if published["type"] and own.get("type") not in {None, published["type"]}:
        return False
    # Alternatives that differ only in the name that they carry.
    names = fields.get("type", {}).get("enum")
    return not names or published["properties"]["type"].get("enum") == names


def compare(document: dict[str, Any], own: dict[str, Any], schema: dict[str, Any], at: str) -> int:
    """Hold our schema against the published one; how many schemas were compared. Where the
    published one leaves a type open, as for the grammar itself, ours may be closer."""
    published = chosen(document, schema, own)
    compared = 1
    if own.get("type") == "object" and "properties" in own:
        assert set(own.get("required", [])) == published["required"], at
        for name, field in own["properties"].items():
            compared += compare(document, field, published["properties"][name], f"{at}.{name}")
    if own.get("type") == "array":
        compared += compare(document, own["items"], published["items"], f"{at}[]")
    return compared


@pytest.mark.parametrize(
    ("own", "name", "fields"),
    [
        (tgi_schema.REQUEST, "ChatRequest", 13),
        (tgi_schema.ANSWER, "ChatCompletion", 16),
        (tgi_schema.ERROR, "ErrorResponse", 3),
    ],
)
def test_our_schema_says_what_the_published_one_says(document, own: dict, name: str, fields: int):
    """Same types and same required fields, all the way down, for every field that we rely on."""
    assert compare(document, own, {"$ref": f"#/components/schemas/{name}"}, name) == fields


def test_the_statuses_are_the_published_ones(document):
    post = document["paths"]["/v1/chat/completions"]["post"]
    assert set(post["responses"]) == tgi_schema.STATUSES


def test_a_wrong_schema_of_ours_would_be_noticed(document):
    ref = {"$ref": "#/components/schemas/Usage"}
    with pytest.raises(AssertionError):
        compare(document, {**tgi_schema.USAGE, "required": ["prompt_tokens"]}, ref, "Usage")
    wrong = {"prompt_tokens": {"type": "string"}}
    with pytest.raises(AssertionError):
        compare(
            document,
            {**tgi_schema.USAGE, "properties": {**tgi_schema.USAGE["properties"], **wrong}},
            ref,
            "Usage",
        )
