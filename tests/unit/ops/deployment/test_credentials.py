"""The folder of secrets: what is in it, what stays, who may read it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from reclens.contracts import ArtifactKind
from reclens.errors import Unauthenticated, Unavailable
from reclens.ops.deployment.access import Account, rights
from reclens.ops.deployment.credentials import Addresses, make_credentials
from reclens.ops.deployment.initialise import PIPELINE
from reclens.platform.grpc.auth import (
    Scope,
    TokenBook,
    TokenEntry,
    digest,
    new_token,
    read_tokens,
    write_tokens,
)
from reclens.platform.jobs.spec_file import read_spec_file
from reclens.platform.llm.answer_cache import PREFIX as ANSWERS
from reclens.platform.settings.models import ClientSettings

EXAMPLES = Path(__file__).parents[4] / "examples"
S3 = {"RECLENS_S3__ACCESS_KEY", "RECLENS_S3__SECRET_KEY"}
STORE_ALONE = (Account.INFERENCE, Account.RESTORE)
FILES = {
    "recommender": {"RECLENS_REDIS__URL", *S3},
    "trainer": {"RECLENS_REDIS__URL", *S3},
    "labeler": {"RECLENS_REDIS__URL", *S3},
    "inference": {"tokens.json", *S3},
    "gateway": {
        "RECLENS_GATEWAY__AUTH__RATES_REDIS",
        "RECLENS_GATEWAY__INFERENCE_TOKEN",
        "tokens.json",
        *S3,
    },
    "operator": {"RECLENS_CLIENT__TOKEN", "RECLENS_REDIS__URL", *S3},
    "init": {"RECLENS_REDIS__URL", *S3},
    "gc": {"RECLENS_REDIS__URL", *S3},
    "restore": S3,
    "monitoring": {"RECLENS_REDIS__URL"},
    "grafana": {"GRAFANA_ADMIN_PASSWORD"},
    "redis": {"users.acl"},
    "s3": {"identities.json", "security.toml", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"},
}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "credentials"
    make_credentials(root, Addresses())
    return root


def test_every_part_has_what_it_needs_and_no_more(folder: Path):
    found = {
        part.name: {file.name for file in part.iterdir()}
        for part in folder.iterdir()
        if part.is_dir()
    }
    assert found == FILES
    assert set(FILES) == {*Account, "redis", "s3", "grafana"}


def test_no_two_secrets_are_the_same_and_all_are_long(folder: Path):
    secrets = [text for name, text in contents(folder).items() if "SECRET" in name]
    secrets += [
        text.split(":")[2].split("@")[0]
        for name, text in contents(folder).items()
        if name.endswith(("REDIS__URL", "RATES_REDIS"))
    ]
    assert len(secrets) == len(set(secrets)) == 8 + 9
    # MinIO takes 8 to 40 characters.
    assert {len(secret) for secret in secrets} == {40}


def test_redis_is_told_digests_and_no_password(folder: Path):
    acl = (folder / "redis" / "users.acl").read_text()
    lines = {line.split()[1]: line.split() for line in acl.splitlines()}
    accounts = {"default", "health", *(part for part in Account if part not in STORE_ALONE)}
    assert set(lines) == accounts
    assert lines["health"][2:] == ["on", "nopass", "resetkeys", "resetchannels", "-@all", "+ping"]
    # Redis 7 reads its own data as this user: it needs all rights, and nobody may become it.
    assert lines["default"][2:] == ["off", "resetpass", "~*", "&*", "+@all"]
    for name, url in contents(folder).items():
        if name.endswith(("REDIS__URL", "RATES_REDIS")):
            user, password = url.removeprefix("redis://").split("@")[0].split(":")
            assert name.startswith(user)
            assert f"#{hashlib.sha256(password.encode()).hexdigest()}" in lines[user]
            assert password not in acl
            assert url.endswith("@redis:6379/0")


def test_a_second_run_keeps_all_and_completes_what_is_missing(folder: Path):
    before = contents(folder)
    assert make_credentials(folder, Addresses()) == []
    assert contents(folder) == before
    (folder / "trainer" / "RECLENS_S3__SECRET_KEY").unlink()
    (folder / "redis" / "users.acl").write_text("of an older version")
    changed = make_credentials(folder, Addresses())
    assert set(changed) == {
        "trainer/RECLENS_S3__SECRET_KEY", "redis/users.acl", "s3/identities.json",
    }  # fmt: skip
    after = contents(folder)
    assert after["redis/users.acl"] == before["redis/users.acl"]
    assert {name for name in after if after[name] != before[name]} == {
        "trainer/RECLENS_S3__SECRET_KEY",
        "s3/identities.json",
    }


def test_rotation_changes_one_part(folder: Path):
    before = contents(folder)
    make_credentials(folder, Addresses(), rotate=[Account.OPERATOR])
    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == {
        "operator/RECLENS_REDIS__URL", "operator/RECLENS_S3__SECRET_KEY", "operator.env",
        "redis/users.acl", "s3/identities.json",
        "operator/RECLENS_CLIENT__TOKEN", "gateway/tokens.json",
    }  # fmt: skip


def who_may_call(folder: Path, server: str, token: str) -> TokenEntry:
    """The client of a token, as the server finds it."""
    book = TokenBook(folder / server / "tokens.json")
    return book.client(f"Bearer {(folder / token).read_text()}", lambda: "")


def test_servers_are_told_who_may_call_and_no_token(folder: Path):
    operator = who_may_call(folder, "gateway", "operator/RECLENS_CLIENT__TOKEN")
    assert (operator.client, operator.scopes) == ("operator", set(Scope))
    gateway = who_may_call(folder, "inference", "gateway/RECLENS_GATEWAY__INFERENCE_TOKEN")
    assert (gateway.client, gateway.scopes) == ("gateway", {Scope.STEER})
    for server in ("gateway", "inference"):
        assert "reclens_" not in (folder / server / "tokens.json").read_text()
    with pytest.raises(Unauthenticated):
        who_may_call(folder, "inference", "operator/RECLENS_CLIENT__TOKEN")


def test_tokens_that_were_added_or_revoked_stay_so(folder: Path):
    file, more = folder / "gateway" / "tokens.json", new_token()
    added = TokenEntry(client="shop", sha256=digest(more), scopes=frozenset({Scope.READ}))
    write_tokens(file, [added])
    assert make_credentials(folder, Addresses()) == []
    assert [entry.client for entry in read_tokens(file)] == ["shop"]
    # A new one takes the place of the operator's old one, and of no other.
    for _ in range(2):
        make_credentials(folder, Addresses(), rotate=[Account.OPERATOR])
        assert [entry.client for entry in read_tokens(file)] == ["shop", "operator"]
    assert who_may_call(folder, "gateway", "operator/RECLENS_CLIENT__TOKEN").client == "operator"


def test_other_addresses_keep_the_secrets(folder: Path):
    before = (folder / "labeler" / "RECLENS_REDIS__URL").read_text()
    make_credentials(folder, Addresses(redis_inside="broker:7000"))
    after = (folder / "labeler" / "RECLENS_REDIS__URL").read_text()
    assert after == before.replace("redis:6379", "broker:7000")


def test_accounts_of_stores_of_ones_own_stay_as_they_are_written(folder: Path):
    own = {
        "trainer/RECLENS_REDIS__URL": "rediss://team:secret@redis.example:6380/0",
        "labeler/RECLENS_REDIS__URL": "rediss://labeler:secret@redis.example:6380/0",
        "init/RECLENS_REDIS__URL": "redis://redis.example:6379/0",
        "operator/RECLENS_REDIS__URL": "rediss://team:secret@redis.example:6380/0",
        "trainer/RECLENS_S3__ACCESS_KEY": "AKIAEXAMPLE",
        "trainer/RECLENS_S3__SECRET_KEY": "of-another-store",
    }
    for name, value in own.items():
        (folder / name).write_text(value)
    make_credentials(folder, Addresses(s3_region="eu-west-1", s3_secure=True))
    after = contents(folder)
    assert {name: after[name] for name in own} == own
    users = {line.split()[1] for line in after["redis/users.acl"].splitlines()}
    kept = {"recommender", "labeler", "gateway", "gc", "monitoring"}
    assert users == {"default", "health", *kept}
    told = after["operator.env"].splitlines()
    assert f"export RECLENS_REDIS__URL={own['operator/RECLENS_REDIS__URL']}" in told
    assert {"export RECLENS_S3__REGION=eu-west-1", "export RECLENS_S3__SECURE=true"} < set(told)


def test_the_stores_servers_share_a_key_that_seaweedfs_takes(folder: Path):
    found = tomllib.loads((folder / "s3" / "security.toml").read_text())
    # It refuses to use one of under 16 bytes.
    assert len(found["jwt"]["filer_signing"]["key"]) >= 32


def test_a_shell_gets_the_operators_settings(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_credentials(folder, Addresses(redis="127.0.0.1:1", s3="127.0.0.1:2", gateway="here:3"))
    shell = subprocess.run(
        ["sh", "-c", f". {folder}/operator.env && env"],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    for line in shell.stdout.splitlines():
        if line.startswith("RECLENS_"):
            monkeypatch.setenv(*line.split("=", 1))
    found = ClientSettings()
    url = (folder / "operator" / "RECLENS_REDIS__URL").read_text()
    assert found.redis.url.get_secret_value() == url.replace("redis:6379", "127.0.0.1:1")
    assert found.s3.endpoint == "127.0.0.1:2"
    key = (folder / "operator" / "RECLENS_S3__SECRET_KEY").read_text()
    assert found.s3.secret_key.get_secret_value() == key
    assert found.client.target == "here:3"
    assert found.client.token is not None
    token = (folder / "operator" / "RECLENS_CLIENT__TOKEN").read_text()
    assert found.client.token.get_secret_value() == token


def test_others_on_this_machine_stay_out_and_containers_read_their_mount(folder: Path):
    assert mode(folder) == 0o700
    assert mode(folder / "operator.env") == 0o600
    inside = [path for path in folder.rglob("*") if path.name != "operator.env"]
    assert {mode(path) for path in inside if path.is_dir()} == {0o755}
    assert {mode(path) for path in inside if path.is_file()} == {0o644}
    # What somebody opened or closed by mistake is mended.
    folder.chmod(0o755)
    (folder / "trainer").chmod(0o700)
    make_credentials(folder, Addresses())
    assert mode(folder) == 0o700
    assert mode(folder / "trainer") == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")
def test_what_root_makes_belongs_to_whom_the_folder_belongs(tmp_path: Path):
    root = tmp_path / "credentials"
    root.mkdir()
    os.chown(root, 1234, 1234)
    # As Docker makes the folders that are mounted, before there is anything in them.
    (root / "trainer").mkdir()
    make_credentials(root, Addresses())
    assert {path.stat().st_uid for path in [root, *root.rglob("*")]} == {1234}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=str(tmp_path / "file")):
        make_credentials(tmp_path / "file" / "credentials", Addresses())


def test_identities_are_policies_of_this_bucket_alone(tmp_path: Path):
    make_credentials(tmp_path / "c", Addresses(), bucket="films")
    config = json.loads((tmp_path / "c" / "s3" / "identities.json").read_text())
    assert {one["name"] for one in config["identities"]} == set(Account) - {Account.MONITORING}
    for one in config["policies"]:
        for statement in json.loads(one["content"])["Statement"]:
            assert statement["Effect"] == "Allow"
            assert not any("*" in action for action in statement["Action"])
            for resource in statement["Resource"]:
                assert resource.startswith("arn:aws:s3:::films")
    (trainer,) = [one for one in config["policies"] if one["name"] == "reclens-trainer"]
    writes = [
        resource
        for statement in json.loads(trainer["content"])["Statement"]
        if "s3:DeleteObject" in statement["Action"]
        for resource in statement["Resource"]
    ]
    assert writes == [
        "arn:aws:s3:::films/autoencoders/*", "arn:aws:s3:::films/checkpoints/autoencoders/*",
    ]  # fmt: skip


def test_every_kind_of_artifact_has_one_maker():
    makers = [
        prefix.removesuffix("/")
        for granted in rights().values()
        if granted.store
        for prefix in granted.store.replace
        if not prefix.startswith("checkpoints/")
    ]
    assert sorted(makers) == sorted(kind.value for kind in ArtifactKind)
    labeler = rights()[Account.LABELER].store
    assert labeler is not None
    assert f"{ANSWERS}/" in labeler.add


def test_the_first_pipeline_is_the_example():
    assert read_spec_file(PIPELINE) == read_spec_file(EXAMPLES / "ml-100k.yaml")
