"""Answers in a real object store: what is there is never paid for again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from running_lookalike import Lookalike
from tgi_lookalike import shown_data

from reclens.concepts.llm.chat import ChatAnswer, ask_label
from reclens.concepts.llm.questions import EvidenceItem, LabelQuestion, evidence_hash
from reclens.contracts import LlmOptions
from reclens.errors import LlmInterrupted, Unavailable
from reclens.ops.local.servers import free_ports
from reclens.platform.llm.answer_cache import AnswerStore, object_name
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings, S3Settings
from reclens.platform.store.objects import S3Store

ANSWER = ChatAnswer('{"a": "ü\\u2026"}', 10, 3, "some/model", 0.25, "length")
KEY = "ab" + "0" * 62


@pytest.fixture
def objects(s3: S3Settings) -> S3Store:
    objects = S3Store(s3)
    objects.ensure_bucket()
    for key in objects.list("llm-cache/"):
        objects.delete(key)
    return objects


def question(number: int) -> LabelQuestion:
    return LabelQuestion((f"kind {number}",), (EvidenceItem(f"film {number}"),))


def test_an_answer_comes_back_as_it_was_kept(objects: S3Store):
    AnswerStore(objects, "tgi").put("label-1", KEY, ANSWER)
    assert AnswerStore(objects, "tgi").get("label-1", KEY) == ANSWER
    assert objects.list("llm-cache/") == [f"llm-cache/label-1-tgi/ab/{KEY}.json"]
    assert json.loads(objects.get(object_name("label-1", "tgi", KEY)))["text"] == ANSWER.text


def test_versions_of_a_prompt_are_apart(objects: S3Store):
    AnswerStore(objects, "tgi").put("label-1", KEY, ANSWER)
    assert AnswerStore(objects, "tgi").get("label-2", KEY) is None
    assert AnswerStore(objects, "tgi").get("label-1", "ac" + KEY[2:]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"text": "a"}',
        b'{"prompt": "label-1", "key": "other", "text": "{}", "prompt_tokens": 1,'
        b' "completion_tokens": 1, "model": "m", "seconds": 0.1, "finish_reason": "stop"}',
    ],
    ids=["empty", "bytes", "list", "incomplete", "another's"],
)
def test_a_corrupt_entry_is_ignored_asked_again_and_mended(
    objects: S3Store, tgi: Lookalike, data: bytes
):
    one, options = question(1), LlmOptions()
    name = object_name("label-1", "tgi", evidence_hash(one, options))
    objects.put(name, data)
    client = HttpLlmClient(LlmSettings(endpoint=tgi.url))
    cache = AnswerStore(objects, "tgi")
    for _ in range(2):
        assert ask_label(client, one, options, cache=cache).answer.name == "kind 1"
    assert len(tgi.requests) == 1
    assert json.loads(objects.get(name))["key"] == evidence_hash(one, options)


def test_a_second_run_costs_nothing(objects: S3Store, tgi: Lookalike):
    client, options = HttpLlmClient(LlmSettings(endpoint=tgi.url)), LlmOptions()
    runs = [
        [
            ask_label(client, question(n), options, cache=AnswerStore(objects, "tgi"))
            for n in range(5)
        ]
        for _ in range(2)
    ]
    assert [one.answer for one in runs[0]] == [one.answer for one in runs[1]]
    assert sum(one.usage.calls for one in runs[0]) == 5
    assert sum(one.usage.calls for one in runs[1]) == 0
    assert len({entry["prompt_hash"] for entry in tgi.requests}) == len(tgi.requests) == 5


def test_a_worker_that_stops_pays_again_for_nothing_that_was_answered(
    objects: S3Store, tgi: Lookalike
):
    options, stop = LlmOptions(), threading.Event()
    cache = AnswerStore(objects, "tgi")
    first = HttpLlmClient(LlmSettings(endpoint=tgi.url), stop=stop)
    for number in range(3):
        ask_label(first, question(number), options, cache=cache)
    stop.set()
    with pytest.raises(LlmInterrupted):
        ask_label(first, question(3), options, cache=cache)
    second = HttpLlmClient(LlmSettings(endpoint=tgi.url))
    outcomes = [ask_label(second, question(n), options, cache=cache) for n in range(5)]
    assert [one.usage.cached for one in outcomes] == [1, 1, 1, 0, 0]
    assert len({entry["prompt_hash"] for entry in tgi.requests}) == len(tgi.requests) == 5


_WORKER = """
import sys
from reclens.platform.llm.answer_cache import AnswerStore
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.store.objects import S3Store
from reclens.platform.settings.models import WorkerSettings
from reclens.concepts.llm.questions import EvidenceItem, LabelQuestion
from reclens.concepts.llm.chat import ask_label
from reclens.contracts import LlmOptions

settings = WorkerSettings()
client, cache = HttpLlmClient(settings.llm), AnswerStore(S3Store(settings.s3), "tgi")
for number in range(5):
    question = LabelQuestion((f"kind {number}",), (EvidenceItem(f"film {number}"),))
    ask_label(client, question, LlmOptions(), cache=cache)
"""


def test_a_killed_worker_pays_again_for_the_answer_in_flight_only(
    objects: S3Store, s3: S3Settings, tgi: Lookalike
):
    secrets = {
        "RECLENS_S3__ENDPOINT": s3.endpoint,
        "RECLENS_S3__BUCKET": s3.bucket,
        "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "RECLENS_LLM__ENDPOINT": tgi.url,
    }
    tgi.behave({}, {}, {}, {"hold_until": 99})
    command, environment = [sys.executable, "-c", _WORKER], {**os.environ, **secrets}
    worker = subprocess.Popen(command, env=environment)
    while len(tgi.requests) < 4 and worker.poll() is None:
        pass
    worker.kill()
    assert worker.wait(30) == -signal.SIGKILL
    subprocess.run(command, env=environment, check=True, timeout=60)
    asked = [shown_data(entry["body"]["messages"])["keywords"][0] for entry in tgi.requests]
    assert asked == ["kind 0", "kind 1", "kind 2", "kind 3", "kind 3", "kind 4"]


def test_another_model_or_temperature_is_another_answer(objects: S3Store, tgi: Lookalike):
    client, cache = HttpLlmClient(LlmSettings(endpoint=tgi.url)), AnswerStore(objects, "tgi")
    for options in (LlmOptions(), LlmOptions(model="b"), LlmOptions(temperature=1)):
        ask_label(client, question(1), options, cache=cache)
    ask_label(client, replace(question(1), keywords=("other",)), LlmOptions(), cache=cache)
    assert len(tgi.requests) == 4


def test_an_answer_that_cannot_be_kept_is_not_used(s3: S3Settings, tgi: Lookalike):
    (port,) = free_ports(1)
    gone = S3Store(s3.model_copy(update={"endpoint": f"127.0.0.1:{port}"}))
    client = HttpLlmClient(LlmSettings(endpoint=tgi.url))
    with pytest.raises(Unavailable, match="object store"):
        ask_label(client, question(1), LlmOptions(), cache=AnswerStore(gone, "tgi"))
    assert tgi.requests == []
