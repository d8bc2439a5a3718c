"""Variants that need a GPU, another store or a download: Compose accepts what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from composed_system import ROOT, System
from documented import examples

OVERRIDES = examples("docs/how-to/deploy.md", "yaml", "^services:$")


def services(system: System, *arguments: str, **variables: str) -> dict[str, dict[str, object]]:
    variant = System({**system.variables, **variables})
    return json.loads(variant.compose(*arguments, "config", "--format", "json"))["services"]


def test_gpus_for_the_trainer_and_for_tgi(prepared: System):
    found = services(prepared, "--profile", "gpu")
    assert {"trainer", "trainer-gpu", "tgi"} <= set(found)
    assert "cu130" in str(found["trainer-gpu"]["build"])
    assert found["trainer-gpu"]["environment"] == found["trainer"]["environment"]
    for name in ("trainer-gpu", "tgi"):
        assert "'driver': 'nvidia'" in str(found[name]["deploy"])


def test_a_language_model_on_the_cpu(prepared: System):
    found = services(prepared, "--profile", "cpu-llm", LLM_DIALECT="openai")
    assert "llama" in found
    assert "'RECLENS_LLM__DIALECT': 'openai'" in str(found["labeler"]["environment"])


def test_minio_by_one_variable(prepared: System):
    found = services(prepared, S3_SERVER="minio")
    assert "minio" in str(found["s3"]["image"])
    # It keeps its users itself: `init` makes them, with the administrator's secrets.
    assert "/run/secrets/s3" in str(found["init"]["volumes"])
    assert "/run/secrets/s3" not in str(services(prepared)["init"]["volumes"])


@pytest.mark.parametrize("name", ["inference", "trainer", "init"])
def test_stores_of_ones_own_are_not_started_and_not_waited_for(prepared: System, name: str):
    found = services(prepared, REDIS_SERVER="own", S3_SERVER="own", S3_ENDPOINT="s3.example:443")
    assert not {"redis", "s3"} & set(found)
    assert "s3.example:443" in str(found[name]["environment"])


@pytest.mark.parametrize("override", OVERRIDES, ids=range(len(OVERRIDES)))
def test_overrides_of_the_documentation_are_understood(
    prepared: System, override: str, tmp_path: Path
):
    file = tmp_path / "docker-compose.override.yml"
    file.write_text(override)
    files = f"{ROOT / 'docker-compose.yml'}:{file}"
    assert services(prepared, COMPOSE_FILE=files) != services(prepared)
