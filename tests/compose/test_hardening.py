"""What each container may do, and what it may not."""

from __future__ import annotations

import io
from urllib.parse import urlsplit

import pytest
from composed_system import APPLICATIONS, CommandFailed, System
from minio import Minio
from minio.error import S3Error
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

SERVICES = ("redis", "s3", *APPLICATIONS)
WITHOUT_TORCH = ("labeler", "gateway")


@pytest.mark.parametrize("service", SERVICES)
def test_runs_without_root_on_a_file_system_that_it_cannot_write(system: System, service: str):
    assert system.shell(service, "id -u").strip() == "10001"
    found = system.inspect(service)
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert found["HostConfig"]["Memory"] > 0
    assert found["HostConfig"]["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}
    with pytest.raises(CommandFailed, match=r"Read-only file system|Permission denied"):
        system.shell(service, "touch /etc/tried")


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_shows_in_what_docker_tells(system: System, service: str):
    told = str(system.inspect(service)) + system.compose("logs", "--no-color", service)
    for secret in _secrets(system):
        assert secret not in told


def test_each_application_sees_the_secrets_of_its_own_part_only(system: System):
    for service in APPLICATIONS:
        assert system.shell(service, "ls /run/secrets").split() == ["reclens"]
        seen = system.shell(service, "cat /run/secrets/reclens/*")
        own = _secrets(system, service.removesuffix("-worker"))
        assert all(secret in seen for secret in own)
        assert not any(secret in seen for secret in _secrets(system) - own)


def test_only_what_the_host_calls_is_published_and_on_this_machine_alone(system: System):
    published = {
        service: sorted(
            (port, bound[0]["HostIp"])
            for port, bound in system.inspect(service)["NetworkSettings"]["Ports"].items()
            if bound
        )
        for service in SERVICES
    }
    assert {service: ports for service, ports in published.items() if ports} == {
        "redis": [("6379/tcp", "127.0.0.1")],
        "s3": [("8333/tcp", "127.0.0.1")],
        "gateway": [("50051/tcp", "127.0.0.1")],
    }


def test_behind_s3_nothing_answers_on_the_network(system: System):
    # The filer and the volumes know no keys: whoever reached them could write everything.
    script = (
        "import socket\n"
        "for port in (8080, 8888, 9333, 18080, 18888, 19333):\n"
        "    with socket.socket() as s:\n"
        "        s.settimeout(2)\n"
        "        assert s.connect_ex(('s3', port)) != 0, port\n"
    )
    system.compose("exec", "-T", "trainer", "python", "-c", script)


def test_nobody_makes_identities_behind_the_stores_back(system: System):
    script = (
        "import grpc\n"
        "store = grpc.insecure_channel('s3:18333')\n"
        "put = store.unary_unary('/messaging_pb.SeaweedS3IamCache/PutIdentity')\n"
        "try:\n"
        "    put(b'', timeout=10)\n"
        "except grpc.RpcError as error:\n"
        "    print(error.code().name)\n"
    )
    printed = system.compose("exec", "-T", "recommender-worker", "python", "-c", script)
    assert printed.strip() == "UNAUTHENTICATED"


@pytest.mark.parametrize("service", WITHOUT_TORCH)
def test_gateway_and_labeler_have_no_torch(system: System, service: str):
    with pytest.raises(CommandFailed, match="No module named 'torch'"):
        system.compose("exec", "-T", service, "python", "-c", "import torch")


def test_torch_is_the_build_for_cpus(system: System):
    script = "import torch; print(torch.version.cuda)"
    printed = system.compose("exec", "-T", "trainer", "python", "-c", script)
    assert printed.strip() == "None"


@pytest.mark.parametrize(
    ("part", "prefix", "allowed"),
    [
        ("trainer", "autoencoders/", True),
        ("trainer", "concepts/", False),
        ("trainer", "releases/", False),
        ("recommender", "activations/", True),
        ("recommender", "autoencoders/", False),
        ("labeler", "concepts/", True),
        ("labeler", "recommenders/", False),
        ("gateway", "policies/", True),
        ("gateway", "releases/", False),
        ("inference", "policies/", False),
    ],
)
def test_a_part_writes_its_own_kinds_alone(system: System, part: str, prefix: str, allowed: bool):
    client = Minio(
        endpoint=f"127.0.0.1:{system.variables['S3_PORT']}",
        access_key=system.secret(part, "RECLENS_S3__ACCESS_KEY"),
        secret_key=system.secret(part, "RECLENS_S3__SECRET_KEY"),
        secure=False,
        region="us-east-1",
    )
    key = f"{prefix}tried-by-a-test"

    def put() -> None:
        client.put_object(bucket_name="reclens", object_name=key, data=io.BytesIO(b"x"), length=1)

    if allowed:
        put()
    else:
        with pytest.raises(S3Error, match="AccessDenied"):
            put()


def test_redis_refuses_what_is_not_a_parts_own(system: System):
    port = system.variables["REDIS_PORT"]

    def connect(part: str, name: str = "RECLENS_REDIS__URL") -> Redis:
        url = system.secret(part, name)
        return Redis.from_url(url.replace("@redis:6379", f"@127.0.0.1:{port}"))

    with pytest.raises(NoPermissionError):
        connect("trainer").flushall()
    with pytest.raises(NoPermissionError):
        connect("trainer").set("somebody:elses", "1")
    with pytest.raises(NoPermissionError):
        connect("gateway", "RECLENS_GATEWAY__AUTH__RATES_REDIS").lrange("train", 0, -1)
    with pytest.raises(AuthenticationError):
        Redis(port=int(port)).ping()
    watcher = Redis(port=int(port), username="health", password="any")
    assert watcher.ping()
    with pytest.raises(NoPermissionError):
        watcher.get("reclens:jobs")


def _secrets(system: System, part: str = "*") -> set[str]:
    """Secret keys and passwords of one part, or of all."""
    values = [
        file.read_text()
        for pattern in ("*SECRET_KEY", "*PASSWORD", "*REDIS*")
        for file in system.credentials.glob(f"{part}/{pattern}")
    ]
    assert values
    return {urlsplit(value).password or value for value in values}
