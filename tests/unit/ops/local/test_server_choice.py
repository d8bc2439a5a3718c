"""Which provider runs the servers of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import server_containers
import servers
from servers import VARIABLE, Daemon, Images, choose

from reclens.errors import InvalidInput, NotReady

REDIS, S3 = "redis:1", "weed:2"


class PretendDaemon:
    """Answers as it is told to, and notes for how long each image may be pulled."""

    def __init__(self, problem: str = "", missing: dict[str, str] | None = None) -> None:
        self._problem = problem
        self._missing = missing or {}
        self.asked: dict[str, float] = {}

    def problem(self) -> str:
        return self._problem

    def obtain(self, image: str, seconds: float) -> str:
        self.asked[image] = seconds
        return self._missing.get(image, "")


def environment(choice: str | None = None) -> dict[str, str]:
    given = {"REDIS_IMAGE": REDIS, "S3_IMAGE": S3}
    return given if choice is None else {**given, VARIABLE: choice}


def unasked() -> Daemon:
    pytest.fail("Docker was asked")


@pytest.mark.parametrize("choice", [None, "", "auto", "docker"])
def test_containers_where_the_daemon_has_the_images(choice: str | None):
    daemon = PretendDaemon()
    chosen = choose(environment(choice), lambda: daemon)
    assert (chosen.kind, chosen.images) == ("docker", Images(REDIS, S3))
    assert str(chosen) == "docker (redis:1, weed:2)"
    assert list(daemon.asked) == [REDIS, S3]


def test_auto_is_less_patient_with_a_pull_than_docker():
    auto, docker = PretendDaemon(), PretendDaemon()
    choose(environment("auto"), lambda: auto)
    choose(environment("docker"), lambda: docker)
    assert max(auto.asked.values()) < min(docker.asked.values())


def test_processes_without_a_daemon_and_no_image_is_asked_for():
    daemon = PretendDaemon("no Docker daemon answers")
    chosen = choose(environment(), lambda: daemon)
    assert str(chosen) == "embedded (no Docker daemon answers)"
    assert daemon.asked == {}


def test_processes_where_an_image_cannot_be_had_and_the_other_is_not_pulled():
    daemon = PretendDaemon(missing={REDIS: "redis:1 cannot be pulled: no such host"})
    chosen = choose(environment(), lambda: daemon)
    assert str(chosen) == "embedded (redis:1 cannot be pulled: no such host)"
    assert list(daemon.asked) == [REDIS]


def test_processes_where_they_are_asked_for_whatever_docker_has():
    assert choose(environment("embedded"), unasked).kind == "embedded"


@pytest.mark.parametrize(
    ("daemon", "said"),
    [
        (PretendDaemon("no Docker daemon answers"), "but no Docker daemon answers"),
        (PretendDaemon(missing={S3: "weed:2 cannot be pulled: 404"}), "weed:2 cannot be pulled"),
    ],
)
def test_docker_without_docker_is_an_error_that_says_so(daemon: Daemon, said: str):
    with pytest.raises(NotReady, match=rf"(?s){VARIABLE}: .*{said}.*embedded") as caught:
        choose(environment("docker"), lambda: daemon)
    assert caught.value.field == VARIABLE


def test_an_unknown_provider_is_an_error_that_names_the_known_ones():
    with pytest.raises(InvalidInput, match=r"(?s)'podman'.*auto, docker or embedded"):
        choose(environment("podman"), unasked)


def test_the_variable_of_the_process_decides(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_containers, "connect", PretendDaemon)
    servers.provider.cache_clear()
    try:
        for choice, kind in {"embedded": "embedded", "docker": "docker"}.items():
            monkeypatch.setenv(VARIABLE, choice)
            servers.provider.cache_clear()
            assert servers.provider().kind == kind
    finally:
        servers.provider.cache_clear()


def test_a_daemon_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none.sock'}")
    daemon = server_containers.connect()
    assert daemon.problem() == "no Docker daemon answers"


def test_the_images_are_those_of_the_compose_files(tmp_path: Path):
    redis, s3 = tmp_path / "redis" / "bundled.yaml", tmp_path / "s3" / "seaweedfs.yaml"
    for file in (redis, s3):
        file.parent.mkdir()
    redis.write_text("services: {redis: {image: '${REDIS_IMAGE:-redis:7.4.8-bookworm}'}}")
    s3.write_text("services: {s3: {image: 'weed@sha256:0a'}}")
    assert Images.of_compose({}, tmp_path) == Images("redis:7.4.8-bookworm", "weed@sha256:0a")
    # Compose takes the default for an empty value too.
    assert Images.of_compose({"REDIS_IMAGE": ""}, tmp_path).redis == "redis:7.4.8-bookworm"
    assert Images.of_compose({"REDIS_IMAGE": "mine"}, tmp_path).redis == "mine"


def test_the_projects_own_files_name_both_images():
    images = Images.of_compose({})
    assert "redis" in images.redis
    assert images.s3
    assert "$" not in images.redis + images.s3
