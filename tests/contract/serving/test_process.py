"""The services as processes: settings from the environment, drain on SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving_stack import alone

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.platform.grpc.health_probe import is_serving


def environment(stack, **settings: str) -> dict[str, str]:
    s3 = stack.store_settings["s3"]
    return {
        **os.environ,
        "RECLENS_S3__ENDPOINT": s3.endpoint,
        "RECLENS_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
        "RECLENS_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "RECLENS_S3__BUCKET": s3.bucket,
        "RECLENS_CACHE_DIR": str(stack.store_settings["cache_dir"]),
        **settings,
    }


def address_of(process: subprocess.Popen[str]) -> str:
    """The address that the process says it listens on; it logs JSON to standard error."""
    assert process.stderr is not None
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "listening":
            return entry["address"]
    raise AssertionError("the process ended before it listened")


@pytest.mark.parametrize(
    ("module", "command", "setting"),
    [
        ("reclens_gateway.main", [], "RECLENS_GATEWAY__LISTEN"),
        ("reclens_recommender.main", ["serve"], "RECLENS_INFERENCE__LISTEN"),
    ],
)
def test_process_listens_where_it_is_told_and_ends_on_sigterm(
    stack, module: str, command: list[str], setting: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *command],
        env=environment(stack, **{setting: "127.0.0.1:0"}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = address_of(process)
        # Nothing is released, so it must not claim to serve.
        assert not is_serving(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_request_under_way_is_answered_while_the_server_drains(stack, hold_model) -> None:
    stack.publisher.world()
    server = stack.start_inference(drain_seconds=30)
    stack.refresh(server)
    assert is_serving(server.address)
    hold = hold_model(server)
    stub = stack.inference(server)
    rank = inference.RankRequest(subject={"user_id": "user-0"}, top_k=3)  # pyright: ignore
    call = stub.BatchRank.future(alone(rank), timeout=30)
    assert hold.entered.wait(10)
    with ThreadPoolExecutor(1) as closer:
        closing = closer.submit(stack.stop_servers)
        # The model answers only once the server takes no more calls.
        while is_serving(server.address):
            assert not closing.done()
        hold.go.set()
        closing.result(30)
    assert len(call.result().outcomes[0].response.ranked.items) == 3
    assert not is_serving(server.address)
