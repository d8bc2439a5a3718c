"""What the dashboard and the rules ask for exists, and everything is scraped where it listens."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import prometheus_client
import pytest
import yaml

from reclens.api.inference.v1 import inference_pb2
from reclens.api.steering.v1 import steering_pb2
from reclens.contracts import QueueName, WorkerName
from reclens.platform.observability.job_metrics import JobMetrics
from reclens.platform.observability.metrics import Metrics

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
SERVICES = ("flower", "redis-exporter", "prometheus", "grafana")

# Of the exporter's README and its exporter.go: the part of a name after `redis_`.
REDIS_METRICS = {
    "redis_commands_processed_total",
    "redis_connected_clients",
    "redis_cpu_sys_seconds_total",
    "redis_cpu_user_seconds_total",
    "redis_key_size",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
    "redis_up",
}
# Of Prometheus' documentation: what it makes itself, of each scrape and of its rules.
PROMETHEUS_METRICS = {"up", "ALERTS"}

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# Lists of labels: what stands in parentheses after these, or in braces.
_LABELS = re.compile(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)|\{[^}]*\}|\[[^\]]*\]")
_NAME = re.compile(r"\b[a-zA-Z_][a-zA-Z0-9_]*\b(?!\s*\()")
_WORDS = {"and", "or", "unless", "offset", "on", "by", "bool", "group_left", "group_right"}


def metric_names(expression: str) -> set[str]:
    """Names of the series that a PromQL expression reads."""
    bare = _LABELS.sub(" ", _STRING.sub('""', expression))
    return {name for name in _NAME.findall(bare) if name not in _WORDS}


def read_yaml(*parts: str) -> Any:
    return yaml.safe_load(MONITORING.joinpath(*parts).read_text())


def dashboard() -> dict[str, Any]:
    text = (MONITORING / "grafana" / "dashboards" / "reclens.json").read_text()
    return json.loads(text)


def panel_expressions() -> list[str]:
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())
    ]


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in read_yaml("prometheus", "alerts.yml")["groups"] for rule in group["rules"]
    ]


def expressions() -> list[str]:
    return panel_expressions() + [rule["expr"] for rule in rules()]


def exposed(registry: prometheus_client.CollectorRegistry) -> set[str]:
    """Names of all series that a registry can expose, also of meters that have counted nothing."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    return {
        family.name + suffix
        for family in registry.collect()
        for suffix in suffixes.get(family.type, [""])
    }


@pytest.fixture(scope="module")
def flower_metrics() -> set[str]:
    """Names of what Flower exposes, by Flower itself."""
    from flower.events import get_prometheus_metrics

    get_prometheus_metrics()
    return {name for name in exposed(prometheus_client.REGISTRY) if name.startswith("flower_")}


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that Flower loads, with secrets of its own."""
    (tmp_path / "RECLENS_REDIS__URL").write_text("redis://monitoring:pass@redis:6379/3\n")
    monkeypatch.setenv("RECLENS_SECRETS_DIR", str(tmp_path))
    spec = importlib.util.spec_from_file_location("watched", MONITORING / "flower" / "watched.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    module.app.close()


def test_the_reader_of_expressions_finds_series_and_nothing_else() -> None:
    asked = (
        'label_replace(sum by (le, x) (rate(a_total{job="f", y!~"b.+"}[5m])), "k", "$1", "", "")'
        " / on (z) c_count offset 30m > 0.5 or absent(d == 1) unless on () e"
    )
    assert metric_names(asked) == {"a_total", "c_count", "d", "e"}


def test_all_that_is_asked_for_exists(flower_metrics: set[str]) -> None:
    own = exposed(Metrics().registry) | exposed(JobMetrics().registry)
    assert "reclens_request_seconds_bucket" in own
    asked = {name for expression in expressions() for name in metric_names(expression)}
    assert asked - own - flower_metrics - REDIS_METRICS - PROMETHEUS_METRICS == set()


def test_the_dashboard_shows_every_figure_of_the_servers_but_those_of_administration() -> None:
    own = {
        metric.name for metric in Metrics().registry.collect() if metric.name.startswith("reclens_")
    }
    text = " ".join(panel_expressions())
    assert {name for name in own if name not in text} == {
        "reclens_policy_changes",
        "reclens_rate_limited",
        "reclens_rate_store_failures",
    }


def test_methods_are_asked_for_by_names_that_calls_have() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for file in (steering_pb2.DESCRIPTOR, inference_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    }
    asked = {
        pattern
        for expression in expressions()
        for pattern in re.findall(r'method(?:=|!=|=~|!~)"([^"]*)"', expression)
    }
    assert asked
    for pattern in asked:
        assert any(re.fullmatch(pattern, method) for method in methods), pattern


def test_labels_of_refusals_and_codes_are_ones_that_are_counted() -> None:
    import grpc

    from reclens import errors

    reasons = {
        error.reason
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.RecLensError)
    }
    codes = {code.name for code in grpc.StatusCode}
    for expression in expressions():
        for label, known in (("reason", reasons), ("code", codes)):
            for pattern in re.findall(rf'\b{label}=~"([^"]*)"', expression):
                assert set(pattern.split("|")) <= known


def test_queues_and_workers_are_asked_for_by_their_names() -> None:
    text = " ".join(expressions())
    keys = {key for pattern in re.findall(r'key=~?"([^"]*)"', text) for key in pattern.split("|")}
    assert keys == {queue.value for queue in QueueName}
    workers = set(re.findall(r'worker=~"([a-z]+)-\.\+"', text))
    assert workers == set(WorkerName) == {"recommender", "trainer", "labeler"}


def test_panels_take_the_data_source_that_is_provisioned() -> None:
    (source,) = read_yaml("grafana", "provisioning", "datasources", "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    expected = {"type": source["type"], "uid": source["uid"]}
    panels = dashboard()["panels"]
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == expected
        assert all(target["datasource"] == expected for target in panel["targets"])
        assert [target["refId"] for target in panel["targets"]] == sorted(
            {target["refId"] for target in panel["targets"]}
        )
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_no_two_panels_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_target_is_a_service_and_a_port_that_it_listens_on() -> None:
    listened = {
        "gateway": 9464,
        "inference": 9464,
        "flower": 5555,
        "redis-exporter": 9121,
        "prometheus": 9090,
        "grafana": 3000,
    }
    root = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    services = {**root, **read_yaml("compose.yaml")["services"]}
    found: dict[str, int] = {}
    jobs = {
        one["job_name"]: one for one in read_yaml("prometheus", "prometheus.yml")["scrape_configs"]
    }
    (looked_up,) = jobs.pop("workers")["dns_sd_configs"]
    assert set(looked_up["names"]) == {"recommender-worker", "trainer", "trainer-gpu", "labeler"}
    for name in looked_up["names"]:
        assert "9464" in str(looked_up["port"])
        assert name in services
    for job in jobs.values():
        (static,) = job["static_configs"]
        (target,) = static["targets"]
        host, _, port = target.partition(":")
        host = "prometheus" if host == "localhost" else host
        assert job["job_name"] == host
        assert host in services
        found[host] = int(port)
    assert found == listened


def test_every_rule_has_a_name_of_its_own_and_says_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_every_rule_is_on_the_page_and_those_of_jobs_have_a_line_of_what_to_do() -> None:
    page = (ROOT / "docs" / "how-to" / "monitoring.md").read_text()
    groups = read_yaml("prometheus", "alerts.yml")["groups"]
    for rule in rules():
        assert f"`{rule['alert']}`" in page
    runbook = page.partition("## When a rule fires")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", runbook, re.MULTILINE))
    assert named == {
        rule["alert"] for group in groups if group["name"] == "workers" for rule in group["rules"]
    }


def test_pages_are_published_on_the_loopback_interface_and_nothing_else_is() -> None:
    services = read_yaml("compose.yaml")["services"]
    assert set(services) == set(SERVICES)
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert ports == {
        "flower": ["127.0.0.1:${FLOWER_PORT:-5555}:5555"],
        "redis-exporter": [],
        "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = read_yaml("compose.yaml")["services"][name]
    assert service["profiles"] == ["monitoring"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["healthcheck"]["test"]
    assert not str(service.get("user", "10001")).startswith("0")
    if "build" not in service:
        assert re.search(r":-[^:]+:v?\d+\.\d+\.\d+[^:]*}$", service["image"])


def test_mounted_files_exist() -> None:
    for service in read_yaml("compose.yaml")["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (MONITORING / source).exists()


def test_flower_watches_the_queues_of_the_address_in_the_secrets(watched: ModuleType) -> None:
    conf = watched.app.conf
    assert conf.broker_url == "redis://monitoring:pass@redis:6379/3"
    assert {queue.name for queue in conf.task_queues} == {queue.value for queue in QueueName}
    assert conf.task_default_queue in {queue.value for queue in QueueName}


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_flower_does_not_start_without_an_address(
    watched: ModuleType, tmp_path: Path, content: str | None
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    if content is not None:
        (folder / "RECLENS_REDIS__URL").write_text(content)
    with pytest.raises(SystemExit, match="RECLENS_REDIS__URL"):
        watched.broker_url(folder)


def test_flower_takes_all_its_options_and_is_for_looking_only() -> None:
    from flower.options import options
    from tornado.options import OptionParser

    path = MONITORING / "flower" / "flowerconfig.py"
    parser = OptionParser()
    for option in options._options.values():
        if option.name not in parser:
            parser.define(
                option.name, default=option.default, type=option.type, multiple=option.multiple
            )
    parser.parse_config_file(str(path), final=False)
    assert parser.read_only is True
    assert parser.enable_events is False
    assert parser.purge_offline_workers == 60
    settings: dict[str, Any] = {}
    exec(path.read_text(), settings)
    # An unknown name would be passed over in silence.
    assert [name for name in settings if name[0] != "_" and name not in parser] == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "redis://monitoring:a-B_9@redis:6379/0",
            ("monitoring", "a-B_9", "redis://redis:6379", "0"),
        ),
        ("rediss://u:p@r.example:6380/2\n", ("u", "p", "rediss://r.example:6380", "2")),
        ("redis://127.0.0.1:6379", ("", "", "redis://127.0.0.1:6379", "0")),
    ],
)
def test_the_exporter_gets_the_login_of_the_address_and_no_argument(
    tmp_path: Path, url: str, expected: tuple[str, str, str, str]
) -> None:
    (tmp_path / "RECLENS_REDIS__URL").write_text(url)
    stand_in = tmp_path / "exporter"
    stand_in.write_text(
        "#!/bin/sh\n"
        'echo "$#|$REDIS_USER|$REDIS_PASSWORD|$REDIS_ADDR|$REDIS_EXPORTER_CHECK_SINGLE_KEYS"\n'
    )
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(MONITORING / "redis-exporter" / "start.sh")],
        env={
            "RECLENS_SECRETS_DIR": str(tmp_path),
            "REDIS_EXPORTER": str(stand_in),
            "PATH": "/bin:/usr/bin",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    user, password, address, database = expected
    queues = ("capture", "train", "label", "pipeline")
    keys = ",".join(f"db{database}={key}" for key in queues)
    assert done.stdout.strip() == f"0|{user}|{password}|{address}|{keys}"


def test_the_exporter_does_not_start_without_an_address(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", str(MONITORING / "redis-exporter" / "start.sh")],
        env={"RECLENS_SECRETS_DIR": str(tmp_path), "PATH": "/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "RECLENS_REDIS__URL" in done.stderr
