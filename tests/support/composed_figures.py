"""What a run against the containers measures, printed at its end."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor, wait

from composed_system import APPLICATIONS, System, run

figures: dict[str, dict[str, str]] = {}
"""Tables of names and values by title."""

START_SECONDS = 1500.0
"""Patience with a system that starts."""


def start(system: System) -> dict[str, str]:
    """Run ``docker compose up --wait``, and tell after how many seconds each service was healthy.

    Raises:
        CommandFailed: it ended with an error.
    """
    began = time.monotonic()
    healthy: dict[str, str] = {}
    with ThreadPoolExecutor(1) as pool:
        up = pool.submit(system.compose, "up", "--detach", "--wait", seconds=START_SECONDS)
        while not up.done():
            wait([up], timeout=0.5)
            for service in system.healthy():
                healthy.setdefault(service, f"{time.monotonic() - began:.0f} s")
    up.result()
    return healthy


def note_sizes(system: System) -> None:
    """Note the size of each image."""
    named = system.compose("--profile", "monitoring", "config", "--images")
    images = set(re.findall(r"^reclens/\S+$", named, re.M))
    for image in sorted(images):
        (found,) = json.loads(run("docker", "image", "inspect", image))
        name = image.removesuffix(f":{system.variables['TAG']}")
        figures["images"][name] = f"{found['Size'] / 1e6:,.0f} MB"


def note_memory(system: System) -> None:
    """Note the memory that each container takes now."""
    memory = {}
    for service in ("redis", "s3", *APPLICATIONS):
        line = run(
            "docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", system.container(service)
        )
        memory[service] = line.strip()
    figures["memory, at rest"] = memory
