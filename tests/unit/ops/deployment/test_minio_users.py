"""What MinIO is told, by a stand-in for its administration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from minio.error import MinioAdminException

from reclens.errors import MissingData, StoreRefused
from reclens.ops.deployment.access import Account
from reclens.ops.deployment.credentials import Addresses, make_credentials
from reclens.ops.deployment.minio_users import administrator, keys_of, make_users
from reclens.platform.settings.models import S3Settings

STORED = [part for part in Account if part is not Account.MONITORING]


class Administration:
    """Keeps what it is told, and refuses what MinIO refuses."""

    def __init__(self, *, stranger: bool = False) -> None:
        self.policies: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.attached: dict[str, list[str]] = {}
        self._stranger = stranger

    def policy_add(self, name: str, policy: dict[str, Any]) -> None:
        if self._stranger:
            raise MinioAdminException("403", '{"Code":"InvalidAccessKeyId"}')
        self.policies[name] = policy

    def user_add(self, access_key: str, secret_key: str) -> None:
        self.secrets[access_key] = secret_key

    def attach_policy(self, policies: list[str], user: str) -> None:
        if self.attached.get(user) == policies:
            raise MinioAdminException("400", '{"Code":"XMinioAdminPolicyChangeAlreadyApplied"}')
        self.attached[user] = policies


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_credentials(tmp_path / "credentials", Addresses())
    return tmp_path / "credentials"


def test_every_part_is_a_user_with_its_policy_and_a_second_run_renews_it(folder: Path):
    minio = Administration()
    make_users(cast(Any, minio), keys_of(folder / "s3"), "reclens")
    make_credentials(folder, Addresses(), rotate=[Account.TRAINER])
    make_users(cast(Any, minio), keys_of(folder / "s3"), "reclens")
    secrets = {
        f"reclens-{part}": (folder / part / "RECLENS_S3__SECRET_KEY").read_text() for part in STORED
    }
    assert minio.secrets == secrets
    assert minio.attached == {f"reclens-{part}": [f"reclens-{part}"] for part in STORED}
    inference = minio.policies["reclens-inference"]["Statement"]
    assert {action for one in inference for action in one["Action"]} == {
        "s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation",
    }  # fmt: skip
    # MinIO takes names of 3 to 20 characters.
    assert all(3 <= len(name) <= 20 for name in minio.secrets)


def test_another_administrator_is_told(folder: Path):
    with pytest.raises(StoreRefused, match="InvalidAccessKeyId"):
        make_users(cast(Any, Administration(stranger=True)), keys_of(folder / "s3"), "reclens")


def test_a_folder_without_the_administrator_is_named(tmp_path: Path):
    with pytest.raises(MissingData, match="MINIO_ROOT_USER"):
        administrator(S3Settings(), tmp_path)
