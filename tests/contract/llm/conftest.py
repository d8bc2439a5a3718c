"""Traffic between the client and a TGI look-alike, recorded."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest
from running_lookalike import Lookalike

from reclens.concepts.llm.chat import ask_judge, ask_label
from reclens.concepts.llm.questions import EvidenceItem, JudgeQuestion, LabelQuestion
from reclens.contracts import LlmOptions
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings


@dataclass(frozen=True)
class Traffic:
    """Bodies, as JSON."""

    requests: list[Any]
    answers: list[Any]
    errors: dict[int, Any]


@pytest.fixture
def traffic(tgi: Lookalike) -> Traffic:
    """A label, grades, and a repair asked for by the client, the answers to the same bytes, and
    the errors that the look-alike can give."""
    client = HttpLlmClient(LlmSettings(endpoint=tgi.url))
    evidence = (EvidenceItem("Laura", ("Film-Noir",), 1944), EvidenceItem("Gilda"))
    tgi.behave({}, {}, {"broken_json": True})
    for keywords in (("Film-Noir", "1940s"), ()):
        ask_label(client, LabelQuestion(keywords, evidence), LlmOptions(temperature=0.5))
    ask_judge(client, JudgeQuestion("Noir", "", (("Laura",), ("Babe",))), LlmOptions())
    client.close()
    requests = [entry["body"] for entry in tgi.requests]
    answers = [post(tgi, body)[1] for body in requests]
    errors = {422: post(tgi, {**requests[0], "response_format": {"type": "json_schema"}})[1]}
    for status in (424, 429, 500):
        tgi.behave({"status": status})
        errors[status] = post(tgi, requests[0])[1]
    return Traffic(requests, answers, errors)


def post(server: Lookalike, body: Any) -> tuple[int, Any]:
    """Status and body of the answer to ``body``."""
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
