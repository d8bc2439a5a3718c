"""What a run against the containers measures, printed at its end."""

from __future__ import annotations

import json
import re

from composed_system import APPLICATIONS, System, run

figures: dict[str, dict[str, str]] = {}
"""Tables of names and values by title."""


def note_sizes(system: System) -> None:
    """Note the size of each image."""
    images = set(re.findall(r"^reclens/\S+$", system.compose("config", "--images"), re.M))
    sizes = {}
    for image in sorted(images):
        (found,) = json.loads(run("docker", "image", "inspect", image))
        sizes[image.removesuffix(":test")] = f"{found['Size'] / 1e6:,.0f} MB"
    figures["image size"] = sizes


def note_memory(system: System) -> None:
    """Note the memory that each container takes now."""
    memory = {}
    for service in ("redis", "s3", *APPLICATIONS):
        line = run(
            "docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", system.container(service)
        )
        memory[service] = line.strip()
    figures["memory"] = memory
