"""The compose files, read as they stand: what they promise of every container, without Docker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from reclens.ops.deployment.credentials import Addresses, make_credentials
from reclens.platform.settings.models import ClientSettings, LlmSettings, WorkerSettings
from reclens_gateway.settings import GatewaySection, GatewaySettings
from reclens_recommender.serving.settings import InferenceSettings

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "docker-compose.yml",
    *sorted(ROOT.glob("deploy/redis/*.yaml")),
    *sorted(ROOT.glob("deploy/s3/*.yaml")),
    ROOT / "deploy/llm/compose.yaml",
    ROOT / "deploy/monitoring/compose.yaml",
]
SERVICES: dict[str, dict[str, Any]] = {
    f"{path.stem if path.parent.name in ('redis', 's3') else ''}:{name}".lstrip(":"): service
    for path in FILES
    for name, service in yaml.safe_load(path.read_text())["services"].items()
    if service.get("profiles") != ["never"]
}
# What it has of its own; the rest is the trainer's.
SERVICES["trainer-gpu"] = SERVICES["trainer"] | SERVICES["trainer-gpu"]
ONE_SHOTS = {"credentials", "init", "cli", "gc", "restore"}
LASTING = sorted(SERVICES.keys() - ONE_SHOTS)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^${}]*))?\}")


def default(text: str) -> str:
    """``text`` with each variable at its default."""
    return _VARIABLE.sub(lambda found: found[2] or "", text)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_confined(name: str):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["driver"] == "json-file"
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    # TGI compiles kernels and keeps them where it likes.
    assert service.get("read_only") or name == "tgi"
    assert "privileged" not in service
    if not default(service["image"]).startswith("reclens/") and name != "tgi":
        assert service["user"].partition(":")[0] not in ("", "0", "root")


def test_where_processors_are_short_answers_go_before_training():
    weights = {name: SERVICES[name].get("cpu_shares", 1024) for name in LASTING}
    workers = {"recommender-worker", "trainer", "trainer-gpu", "labeler"}
    assert {name for name, weight in weights.items() if weight < 1024} == workers
    for name in workers - {"trainer-gpu"}:
        limit = SERVICES[name]["deploy"]["resources"]["limits"]["cpus"]
        assert default(limit) == "0"  # any other would be refused where there are fewer


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nobody_elses_image_is_taken_for_one_that_is_built_here(name: str):
    service = SERVICES[name]
    if default(service["image"]).startswith("reclens/"):
        assert service["pull_policy"] == "never"


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_is_watched_limited_and_brought_back(name: str):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    resources = service["deploy"]["resources"]
    # What computes on a GPU is bounded by that.
    assert "memory" in resources.get("limits", {}) or "devices" in resources["reservations"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_named_by_an_exact_tag(name: str):
    image = default(SERVICES[name]["image"])
    if image.startswith("reclens/"):
        assert image.endswith(":latest")
        return
    tag = image.partition("@")[0].rpartition(":")[2]
    assert re.search(r"\d", tag), f"{image} moves"
    assert "latest" not in tag


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_this_machine_alone(name: str):
    for port in SERVICES[name].get("ports", []):
        assert default(port).startswith("127.0.0.1:")


def test_networks_join_those_who_must_speak_to_one_another():
    members: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        # Whoever names none would be in one with all others like it.
        joined = service["networks"] if "network_mode" not in service else {}
        assert joined or service["network_mode"] == "none"
        for network in joined:
            members.setdefault(network, set()).add(name)
    workers = {"recommender-worker", "trainer", "trainer-gpu", "labeler"}
    tools = {"init", "cli", "gc", "restore"}
    in_redis = {*workers, "init", "cli", "gc", "gateway", "flower", "redis-exporter"}
    assert members == {
        "redis": {"bundled:redis", *in_redis},
        "s3": {"seaweedfs:s3", "minio:s3", *tools, *workers, "gateway", "inference"},
        "calls": {"gateway", "inference"},
        "front": {"gateway", "cli"},
        "llm": {"labeler", "tgi", "llama"},
        "metrics": {*workers, "gateway", "inference", "prometheus", "flower", "redis-exporter"},
        "pages": {"prometheus", "grafana"},
    }
    declared = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["networks"]
    assert declared.keys() == members.keys()
    assert {name for name, one in declared.items() if one} == {"calls", "metrics"}


@pytest.mark.parametrize("name", ["gateway", "inference"])
def test_servers_ask_who_calls(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_credentials(tmp_path, Addresses())
    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, default(str(value)).replace("/run/secrets/reclens", "X"))
    monkeypatch.setenv("RECLENS_SECRETS_DIR", str(tmp_path / name))
    settings = GatewaySettings().gateway if name == "gateway" else InferenceSettings().inference
    assert settings.auth.tokens_file is not None
    assert not settings.auth.allow_anonymous
    assert (tmp_path / name / settings.auth.tokens_file.name).exists()
    if isinstance(settings, GatewaySection):
        assert settings.inference_token is not None


def test_the_gateway_and_the_stores_alone_publish_ports_by_default():
    publishing = {
        name.partition(":")[2] or name
        for name, service in SERVICES.items()
        if service.get("ports") and not service.get("profiles")
    }
    assert publishing == {"gateway", "redis", "s3"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_sees_one_folder_of_secrets(name: str):
    mounted = [
        volume if isinstance(volume, str) else volume["source"]
        for volume in SERVICES[name].get("volumes", [])
    ]
    secrets = [text for text in mounted if "credentials" in text]
    if name == "credentials":
        return
    assert len(secrets) <= 1
    for text in secrets:
        folder = default(text)
        assert re.fullmatch(r"(\./deploy|\.\.)/credentials/\w+:/run/secrets/reclens:ro", folder)


def test_minios_administrator_is_seen_by_who_makes_its_users_alone():
    for store in ("seaweedfs", "own"):
        init = yaml.safe_load((ROOT / "deploy" / "s3" / "init" / f"{store}.yaml").read_text())
        assert init["services"] == {"init": {}}
    minio = yaml.safe_load((ROOT / "deploy" / "s3" / "init" / "minio.yaml").read_text())
    assert [default(one) for one in minio["services"]["init"]["volumes"]] == [
        "../../credentials/s3:/run/secrets/s3:ro"
    ]


def names_of(model: type[BaseModel], prefix: str = "RECLENS_") -> set[str]:
    """Environment variables that fill the fields of ``model``."""
    found: set[str] = set()
    for field, info in model.model_fields.items():
        variable = f"{prefix}{field.upper()}"
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= names_of(section, f"{variable}__")
        else:
            found.add(variable)
    return found


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("recommender-worker", WorkerSettings),
        ("trainer", WorkerSettings),
        ("trainer-gpu", WorkerSettings),
        ("labeler", WorkerSettings),
        ("inference", InferenceSettings),
        ("gateway", GatewaySettings),
        ("init", ClientSettings),
        ("cli", ClientSettings),
        ("gc", ClientSettings),
        ("restore", ClientSettings),
    ],
)
def test_every_variable_is_a_setting_of_its_process(name: str, settings: type[BaseModel]):
    given = {key for key in SERVICES[name]["environment"] if key.startswith("RECLENS_")}
    assert given - {"RECLENS_SECRETS_DIR"} <= names_of(settings)


def test_servers_have_time_to_drain_and_workers_to_checkpoint():
    drain = GatewaySettings().gateway.drain_seconds
    for name in ("gateway", "inference"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > drain
    for name in ("recommender-worker", "trainer", "trainer-gpu", "labeler"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= 60


@pytest.mark.parametrize("server", ["tgi", "llama"])
def test_the_labeler_finds_the_language_model_of_either_profile(server: str):
    labeler = SERVICES["labeler"]["environment"]
    settings = LlmSettings(
        endpoint=default(labeler["RECLENS_LLM__ENDPOINT"]),
        dialect=default(labeler["RECLENS_LLM__DIALECT"]),  # pyright: ignore[reportArgumentType]
    )
    assert settings.dialect == "tgi"
    assert settings.endpoint == "http://llm:8080"
    service = SERVICES[server]
    assert service["networks"] == {"llm": {"aliases": ["llm"]}}
    command = service["command"]
    assert command[command.index("--port") + 1] == "8080"


def test_gpus_are_asked_for_where_they_are_used():
    for name in ("trainer-gpu", "tgi"):
        (device,) = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia"
        assert device["capabilities"] == ["gpu"]
        assert SERVICES[name]["profiles"] == ["gpu"]


def test_compose_and_dockerfile_agree_on_what_images_are_built_from():
    arguments = SERVICES["gateway"]["build"]["args"]
    dockerfile = (ROOT / "services" / "Dockerfile").read_text()
    for name in ("PYTHON_IMAGE", "TORCH_INDEX"):
        assert f"ARG {name}={default(arguments[name])}\n" in dockerfile
    flower = (ROOT / "deploy" / "monitoring" / "flower" / "Dockerfile").read_text()
    assert f"ARG PYTHON_IMAGE={default(arguments['PYTHON_IMAGE'])}\n" in flower


def test_documentation_names_every_variable_of_the_compose_files():
    used = {found[1] for path in FILES for found in _VARIABLE.finditer(path.read_text())}
    documented = "".join(
        (ROOT / "docs" / "how-to" / page).read_text() for page in ("deploy.md", "monitoring.md")
    )
    table = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", documented))
    assert used <= table


def test_nothing_secret_is_written_down():
    for path in FILES:
        for line in path.read_text().splitlines():
            assert not re.search(r"(?i)(password|secret_key|token)\S*\s*[:=]\s*['\"]?\w{8,}", line)
