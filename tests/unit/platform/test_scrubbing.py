"""Every secret of the stack is fed to what is kept for others."""

from __future__ import annotations

import io
import json
import logging
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, SecretStr, ValidationError

from reclens.errors import Unavailable
from reclens.ops.local.servers import write_identity
from reclens.platform import scrubbing
from reclens.platform.celery.worker import Results
from reclens.platform.grpc.auth import new_token
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.runner import failure_report
from reclens.platform.observability import tracing
from reclens.platform.observability.logs import configure_logging
from reclens.platform.scrubbing import HIDDEN, scrub
from reclens.platform.settings.models import RedisSettings, WorkerSettings

PASSWORD = 'Zm9v"YmFy/of\\Redis'
SECRETS = {
    "RECLENS_REDIS__URL": "redis://trainer:Zm9v%22YmFy%2Fof%5CRedis@redis:6379/0",
    "RECLENS_S3__ACCESS_KEY": "0123456789ABCDEF0123",
    "RECLENS_S3__SECRET_KEY": "aP3-key_of_the_store-0123456789abcdef",
    "RECLENS_LLM__TOKEN": "hf_0123456789abcdefghijklmnop",
}
TOKEN = new_token()
SIGNATURE = "4f" * 32
SAID = {
    "redis": f"Error connecting to {SECRETS['RECLENS_REDIS__URL']}: refused",
    "password": f"WRONGPASS {PASSWORD} for trainer",
    "access key": f"InvalidAccessKeyId {SECRETS['RECLENS_S3__ACCESS_KEY']}",
    "secret key": f"S3Settings(secret_key={SECRETS['RECLENS_S3__SECRET_KEY']!r})",
    "llm": f"401 from http://llm:8080, sent {SECRETS['RECLENS_LLM__TOKEN']}.",
    "other address": f"GET https://someone:{SIGNATURE}@example.org/x failed",
    "bearer": f"metadata: ('authorization', 'Bearer {SIGNATURE}')",
    "token": f"client sent {TOKEN}",
    "signed link": f"PUT http://s3:8333/reclens/x?X-Amz-Credential={SIGNATURE}%2Fs3"
    f"&X-Amz-Date=1&X-Amz-Signature={SIGNATURE}&X-Amz-Security-Token={SIGNATURE}",
    "signed headers": f"AWS4-HMAC-SHA256 Credential={SIGNATURE}/s3, Signature={SIGNATURE}",
}
VALUES = [
    PASSWORD,
    json.dumps(PASSWORD)[1:-1],
    "Zm9v%22YmFy%2Fof%5CRedis",
    *list(SECRETS.values())[1:],
    TOKEN,
    SIGNATURE,
]


@pytest.fixture(autouse=True)
def _secrets_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubbing, "_known", {})
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    WorkerSettings()


def nothing_of_them(text: str) -> None:
    assert HIDDEN in text
    for value in VALUES:
        assert value not in text


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    level, configured = root.level, structlog.get_config()
    configure_logging("test")
    yield written
    root.handlers[:], root.level = before, level
    structlog.configure(**configured)


@pytest.mark.parametrize("said", SAID)
def test_logs_have_no_secret(log: io.StringIO, said: str):
    structlog.get_logger("ours").warning("job.failed", error=SAID[said], nested={"a": [SAID[said]]})
    logging.getLogger("theirs").warning("failed: %s", SAID[said])
    try:
        raise RuntimeError(SAID[said]) from OSError(SAID[said])
    except RuntimeError:
        structlog.get_logger("ours").exception("job.failed")
    lines = log.getvalue().splitlines()
    assert len(lines) == 3
    for line in lines:
        nothing_of_them(line)
        assert json.loads(line)["service"] == "test"


@pytest.mark.parametrize("said", SAID)
def test_results_have_no_secret(said: str):
    app = make_app(RedisSettings())
    app.loader.override_backends = {"redis": Results.PATH}
    assert isinstance(app.backend, Results)
    try:
        raise Unavailable(SAID[said]) from RuntimeError(SAID[said])
    except Unavailable as error:
        meta = {
            "result": app.backend.prepare_exception(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
        report = failure_report(error)
    kept = app.backend.encode(meta)
    assert json.loads(kept)["result"]["exc_type"] == "Unavailable"
    nothing_of_them(kept)
    nothing_of_them(report.message)
    nothing_of_them(report.traceback)
    for value in VALUES:
        assert value not in report.model_dump_json()


@pytest.mark.parametrize("said", SAID)
def test_spans_have_no_secret(said: str, monkeypatch: pytest.MonkeyPatch):
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    span, _ = tracing.begin_span("/Service/Method", "")
    tracing.end_span(span, "INTERNAL", 13, release=SAID[said])
    (ended,) = kept.get_finished_spans()
    nothing_of_them(ended.to_json())


def test_a_secret_is_not_cut_in_half_before_it_is_found():
    secret = SECRETS["RECLENS_S3__SECRET_KEY"]
    report = failure_report(Unavailable("x" * 990 + secret))
    assert secret[:6] not in report.message


@pytest.mark.parametrize(
    "text",
    [
        "recommenders/0123456789abcdef of redis://127.0.0.1:6379/0 and http://llm:8080/v1",
        "a bearer token is needed; reclens_recommender and reclens_gateway have none",
        '{"signature": "none", "tokens=": 3}',
    ],
)
def test_other_text_stays(text: str):
    assert scrub(text) == text


def test_names_that_serve_as_keys_are_no_secrets():
    class Named(BaseModel):
        key: SecretStr = SecretStr("recommender")

    scrubbing.hide(Named())
    assert scrub("recommenders/0123456789abcdef") == "recommenders/0123456789abcdef"


def test_the_keys_of_a_local_stack_are_known(tmp_path: Path):
    write_identity(tmp_path / "s3.json")
    (keys,) = json.loads((tmp_path / "s3.json").read_text())["identities"][0]["credentials"]

    class Keys(BaseModel):
        access: SecretStr
        secret: SecretStr

    scrubbing.hide(Keys(access=SecretStr(keys["accessKey"]), secret=SecretStr(keys["secretKey"])))
    assert scrub(f"{keys['accessKey']} {keys['secretKey']}") == f"{HIDDEN} {HIDDEN}"


def test_an_error_that_ends_a_process_is_logged_without_them(tmp_path: Path):
    program = """
from reclens.platform.observability.logs import configure_logging
from reclens.platform.settings.models import WorkerSettings
import threading
configure_logging("test")
settings = WorkerSettings()
def fail():
    raise RuntimeError("with " + settings.s3.secret_key.get_secret_value())
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    for line in lines:
        nothing_of_them(line)
        assert "RuntimeError" in json.loads(line)["exception"]


def test_processes_that_are_spawned_know_them(monkeypatch: pytest.MonkeyPatch):
    sent = pickle.dumps(WorkerSettings())
    monkeypatch.setattr(scrubbing, "_known", {})
    pickle.loads(sent)
    assert scrub(SECRETS["RECLENS_S3__SECRET_KEY"]) == HIDDEN


def test_settings_that_are_wrong_are_not_quoted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECLENS_LLM__ENDPOINT", f"http://me:{SIGNATURE}@llm:8080")
    with pytest.raises(ValidationError, match="RECLENS_LLM__TOKEN") as caught:
        WorkerSettings()
    assert SIGNATURE not in str(caught.value)
