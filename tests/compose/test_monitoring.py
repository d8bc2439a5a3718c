"""The profile `monitoring`: what its parts see of a system at work."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from composed_figures import figures
from composed_system import Clients, CommandFailed, System, until
from stand_in_images import have_image

PARTS = ("flower", "redis-exporter", "prometheus", "grafana")


@pytest.fixture(scope="module")
def watching(system: System) -> Iterator[tuple[str, ...]]:
    """The parts that run, healthy. Grafana alone may be missing: nothing stands in for it."""
    images = json.loads(system.compose("--profile", "monitoring", "config", "--format", "json"))
    parts = []
    for part in PARTS:
        image = images["services"][part]["image"]
        try:
            if not image.startswith("reclens/"):
                have_image(image)
        except CommandFailed:
            assert part == "grafana"
            figures.setdefault("not run", {})[image] = "no registry"
            continue
        parts.append(part)
    system.compose("--profile", "monitoring", "up", "--detach", "--wait", *parts)
    yield tuple(parts)
    system.compose("--profile", "monitoring", "rm", "--stop", "--force", *parts)


def ask(system: System, query: str) -> list[Any]:
    """What Prometheus answers to a query now."""
    address = f"http://127.0.0.1:{system.variables['PROMETHEUS_PORT']}/api/v1/query?"
    with urllib.request.urlopen(address + urllib.parse.urlencode({"query": query})) as answer:
        return json.load(answer)["data"]["result"]


def test_prometheus_sees_every_part_that_runs(system: System, watching: tuple[str, ...]):
    expected = {"gateway", "inference", *watching}
    seen: set[str] = set()
    for _ in until(90, f"Prometheus to scrape {expected}"):
        seen = {one["metric"]["job"] for one in ask(system, "up == 1")}
        if expected <= seen:
            return


def test_requests_and_jobs_show(system: System, clients: Clients, watching: tuple[str, ...]):
    clients.recommend()
    sent = clients.celery.send_task(
        "reclens.dataset.import.v1", kwargs={"spec": {"name": "ml-100k"}}, queue="capture"
    )
    sent.get(timeout=120)
    for query in (
        'reclens_request_seconds_count{job="gateway", code="OK"} > 0',
        "reclens_release_info == 1",
        'redis_key_size{key="train"} == 0',
        "redis_up == 1",
        'flower_worker_online{worker=~"trainer-.*"} == 1',
        'flower_events_total{task="reclens.dataset.import.v1", type="task-succeeded"} > 0',
    ):
        for _ in until(60, query):
            if ask(system, query):
                break


def test_flower_commands_nobody(system: System, watching: tuple[str, ...]):
    address = f"http://127.0.0.1:{system.variables['FLOWER_PORT']}/api/worker/shutdown/any"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, method="POST"))
    assert refused.value.code in (401, 403)
