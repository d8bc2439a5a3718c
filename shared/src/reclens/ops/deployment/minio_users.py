"""MinIO's users and policies. It keeps them itself, so they are made over its administration API;
SeaweedFS reads them from a file instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from reclens.errors import StoreRefused, Unavailable
from reclens.ops.deployment.access import Account
from reclens.ops.deployment.account_rules import S3Keys, policies, policy_name
from reclens.ops.deployment.credentials import IDENTITIES, ROOT_PASSWORD, ROOT_USER
from reclens.platform.files import read_text
from reclens.platform.settings.models import S3Settings

_SECONDS = 10
# What MinIO says to giving a user a policy that it has.
_HAS_IT_ALREADY = "PolicyChangeAlreadyApplied"


def administrator(settings: S3Settings, folder: Path) -> MinioAdmin:
    """A client with the rights of MinIO's root.

    Args:
        settings: where the store is.
        folder: ``s3/`` of the credentials.

    Raises:
        MissingData: a file is not there.
    """
    user, password = _read(folder / ROOT_USER), _read(folder / ROOT_PASSWORD)
    return MinioAdmin(
        endpoint=settings.endpoint,
        credentials=StaticProvider(user.strip(), password.strip()),
        region=settings.region,
        secure=settings.secure,
        http_client=urllib3.PoolManager(timeout=_SECONDS, retries=False),
    )


def keys_of(folder: Path) -> dict[Account, S3Keys]:
    """Keys of all parts, as SeaweedFS's file in ``folder`` has them.

    Raises:
        MissingData: the file is not there.
    """
    found = json.loads(_read(folder / IDENTITIES))
    return {
        Account(one["name"]): S3Keys(key["accessKey"], key["secretKey"])
        for one in found["identities"]
        for key in one["credentials"]
    }


def make_users(admin: MinioAdmin, keys: Mapping[Account, S3Keys], bucket: str) -> None:
    """Make or renew every part's policy and user: what there is gets these rights and secrets.

    Raises:
        Unavailable: MinIO does not answer.
        StoreRefused: the administrator is not who MinIO was started with.
    """
    try:
        for account, document in policies(bucket).items():
            admin.policy_add(policy_name(account), policy=document)
            admin.user_add(keys[account].access_key, keys[account].secret_key)
            try:
                admin.attach_policy([policy_name(account)], user=keys[account].access_key)
            except MinioAdminException as error:
                if _HAS_IT_ALREADY not in str(error):
                    raise
    except MinioAdminException as error:
        raise StoreRefused(
            f"MinIO refused to make users: {error}.",
            field="minio",
            remedy=f"start MinIO with {ROOT_USER} and {ROOT_PASSWORD} of the same folder.",
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(
            f"MinIO does not answer ({type(error).__name__}).", field="s3.endpoint"
        ) from error


def _read(file: Path) -> str:
    remedy = "make it with `reclens deploy credentials`, and mount its s3 folder."
    return read_text(file, field="minio", remedy=remedy)
