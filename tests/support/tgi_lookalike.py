"""A server that looks like TGI, or like a server of OpenAI's dialect, without a model behind it.

Answers are derived from the data block of the prompt: a label is the first offered keyword, a grade
tells whether a word of the label occurs in the case. What else it does is set by a script of
behaviours, one per request, sent to ``/control``; ``/log`` has all that it was asked.

Standard library only, as a process of its own: ``python tgi_lookalike.py PORT DIALECT``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HIGH, LOW = 9, 1
"""Grades of a case with, and without, a word of the label."""
MODEL = "lookalike/none"

_DATA = re.compile(r"<data>\n(.*)\n</data>", re.DOTALL)
_PATIENCE = 20.0  # seconds that a held request waits for company

Json = dict[str, Any]


class State:
    """What the server was told and asked."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.lock = threading.Condition()
        self.in_flight = 0
        self.releases = 0
        self.reset()

    def release(self) -> None:
        """Hold none of those any longer that are held."""
        with self.lock:
            self.releases += 1
            self.lock.notify_all()

    def reset(self) -> None:
        """Forget everything, once the requests that are held or slow have left."""
        self.release()
        with self.lock:
            self.lock.wait_for(lambda: not self.in_flight, timeout=_PATIENCE)
            self.script: list[Json] = []
            self.always: Json = {}
            self.log: list[Json] = []
            self.peak = 0

    def enter(self, body: Any, headers: Json) -> Json:
        """Note a request and take the behaviour that it gets."""
        with self.lock:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.lock.notify_all()
            behaviour = self.script.pop(0) if self.script else self.always
            self.log.append(
                {"prompt_hash": prompt_hash(body), "headers": headers, "body": body, **behaviour}
            )
        return behaviour

    def leave(self) -> None:
        with self.lock:
            self.in_flight -= 1
            self.lock.notify_all()

    def wait_for(self, n_in_flight: int) -> None:
        """Hold the request until so many have been in flight at once."""
        with self.lock:
            before = self.releases
            self.lock.wait_for(
                lambda: self.peak >= n_in_flight or self.releases > before, timeout=_PATIENCE
            )


def prompt_hash(body: Any) -> str:
    """Of the messages alone."""
    messages = body.get("messages") if isinstance(body, dict) else body
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def grammar(body: Json, dialect: str) -> Json | None:
    """Schema that the answer is held to; None: it is not held to any.

    Raises:
        ValueError: TGI refuses a form that it does not know; others ignore one.
    """
    given = body.get("response_format")
    if given is None:
        return None
    if dialect == "tgi":
        # `json_object` is an alias that its published document does not name.
        if given.get("type") in {"json", "json_object"} and "value" in given:
            return given["value"]
        if given.get("type") == "json_schema" and "schema" in given.get("value", {}):
            return given["value"]["schema"]
        raise ValueError("response_format: data did not match any variant of GrammarType")
    if given.get("type") == "json_schema":
        return given.get("json_schema", {}).get("schema")
    return None


def shown_data(messages: list[Json]) -> Json:
    """The data block of the conversation."""
    for message in messages:
        if found := _DATA.search(message["content"]):
            return json.loads(found.group(1))
    raise ValueError("no data block in the prompt")


def label(data: Json) -> Json:
    keywords = data["keywords"]
    if not keywords:
        return {
            "reason": "no keyword was offered",
            "abstain": True,
            "name": "",
            "description": "",
            "keywords": [],
        }
    return {
        "reason": "the first keyword is the best supported",
        "abstain": False,
        "name": keywords[0],
        "description": f"Items of the kind {keywords[0]}.",
        "keywords": keywords[:1],
    }


def grades(data: Json) -> Json:
    words = set(re.findall(r"\w+", data["label"]["name"].lower()))
    found = [words & set(re.findall(r"\w+", " ".join(case).lower())) for case in data["cases"]]
    return {"grades": [HIGH if common else LOW for common in found]}


def injected(data: Json) -> str | None:
    """What a title or text of an item tells an obedient model to answer."""
    titles = [item["title"] for item in data.get("active", []) + data.get("silent", [])]
    texts = [text for case in data.get("cases", []) for text in case]
    for text in titles + texts:
        if found := re.search(r"answer (\{.*\})", text):
            return found.group(1)
    return None


def answer_text(body: Json, behaviour: Json, *, constrained: bool) -> str:
    """What the model says."""
    if "text" in behaviour:
        return behaviour["text"]
    data = shown_data(body["messages"])
    if behaviour.get("obedient") and (command := injected(data)):
        return command
    if not constrained:
        return "Sure! These items are all about good entertainment."
    text = json.dumps(label(data) if "keywords" in data else grades(data))
    if behaviour.get("broken_json"):
        return text[:-2]
    if behaviour.get("wrapped"):
        return f"<think>{{a draft}}</think>Here it is:\n```json\n{text}\n```"
    return text


def completion(body: Json, text: str, finish_reason: str = "stop") -> Json:
    """A chat completion, its tokens counted as words."""
    read = sum(len(message["content"].split()) for message in body["messages"])
    written = len(text.split())
    return {
        "id": "",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "system_fingerprint": "lookalike",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


class Handler(BaseHTTPRequestHandler):
    """The API, and beside it ``/control``, ``/log`` and ``/reset``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def do_GET(self) -> None:
        match self.path:
            case "/health":
                self.reply(200, None)
            case "/info":
                self.reply(200, INFO)
            case "/log":
                with self.state.lock:
                    self.reply(200, {"requests": self.state.log, "peak": self.state.peak})
            case _:
                self.reply(404, error("no such path", "not_found"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        match self.path:
            case "/control":
                with self.state.lock:
                    self.state.script.extend(body.get("next", []))
                    self.state.always = body.get("always", self.state.always)
                self.reply(200, None)
            case "/release":
                self.state.release()
                self.reply(200, None)
            case "/reset":
                self.state.reset()
                self.reply(200, None)
            case "/v1/chat/completions":
                behaviour = self.state.enter(body, {k.lower(): v for k, v in self.headers.items()})
                try:
                    self.linger(behaviour)
                finally:
                    # Before the answer: a client that has it may send its next request at once.
                    self.state.leave()
                self.chat(body, behaviour)
            case _:
                self.reply(404, error("no such path", "not_found"))

    def linger(self, behaviour: Json) -> None:
        """Be in flight for as long as this request is to be."""
        if "hold_until" in behaviour:
            self.state.wait_for(behaviour["hold_until"])
        time.sleep(behaviour.get("slow", 0))

    def chat(self, body: Json, behaviour: Json) -> None:
        if behaviour.get("body") is not None:
            headers = behaviour.get("headers", {})
            self.send(behaviour.get("status", 200), behaviour["body"].encode(), headers)
            return
        if "status" in behaviour:
            words = behaviour.get("error", "Model is overloaded")
            self.reply(
                behaviour["status"], error(words, "overloaded"), behaviour.get("headers", {})
            )
            return
        if behaviour.get("cut"):
            self.close_connection = True
            return
        try:
            schema = grammar(body, self.state.dialect)
        except ValueError as problem:
            self.reply(422, error(str(problem), "validation"))
            return
        text = answer_text(body, behaviour, constrained=schema is not None)
        answer = completion(body, text, behaviour.get("finish_reason", "stop"))
        if behaviour.get("cut_body"):
            self.send(200, json.dumps(answer).encode(), {}, missing=10)
        else:
            self.reply(200, answer)

    def reply(self, status: int, body: Json | None, headers: Json | None = None) -> None:
        self.send(status, b"" if body is None else json.dumps(body).encode(), headers or {})

    def send(self, status: int, data: bytes, headers: Json, *, missing: int = 0) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) - missing])
        if missing:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the log is at ``/log``."""


def error(words: str, kind: str) -> Json:
    return {"error": words, "error_type": kind}


INFO: Json = {
    "model_id": MODEL,
    "max_concurrent_requests": 128,
    "max_best_of": 1,
    "max_stop_sequences": 4,
    "max_input_tokens": 8192,
    "max_total_tokens": 9216,
    "validation_workers": 1,
    "max_client_batch_size": 4,
    "router": "lookalike",
    "version": "3.3.6",
}


def main() -> None:
    port, dialect = int(sys.argv[1]), sys.argv[2]
    Handler.state = State(dialect)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
