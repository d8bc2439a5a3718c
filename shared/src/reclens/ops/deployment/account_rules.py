"""The rules of every account, in the words of Redis and of the object store.

Redis reads a file of users (``aclfile``): who may run which commands on which keys and channels,
for Redis 6.2 and later. Only SHA-256 digests of the passwords are in it. Rights in the object store
are IAM policies, which SeaweedFS and MinIO both understand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from reclens.contracts import sha256_hex
from reclens.ops.deployment.access import Account, RedisRights, StoreRights, rights

# --- Redis ---------------------------------------------------------------------------------------

HEALTH = "health"
"""Account of health checks: any password will do, and all it may do is PING."""

_ALWAYS = (
    # Nobody can log in as this one. It keeps its rights, because Redis 7 loads its file of commands
    # as this user: where it may not do something, transactions with that are left out, silently.
    "user default off resetpass ~* &* +@all",
    f"user {HEALTH} on nopass resetkeys resetchannels -@all +ping",
)


def render_acl(passwords: Mapping[Account, str]) -> str:
    """The file's text.

    Args:
        passwords: of the parts that are to have an account.
    """
    users = [
        _user(account, granted.redis, passwords[account])
        for account, granted in rights().items()
        if granted.redis and account in passwords
    ]
    return "\n".join([*_ALWAYS, *users]) + "\n"


def _user(account: Account, rights: RedisRights, password: str) -> str:
    rules = [
        f"user {account.value}",
        "on",
        f"#{sha256_hex(password.encode())}",
        "resetkeys",
        "resetchannels",
        *(f"~{pattern}" for pattern in rights.keys),
        *(f"&{pattern}" for pattern in rights.channels),
        "-@all",
        *(f"+{command}" for command in dict.fromkeys(rights.commands)),
    ]
    return " ".join(rules)


# --- the object store ----------------------------------------------------------------------------

_PUT = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


class S3Keys(NamedTuple):
    """What a part signs its requests with."""

    access_key: str
    """Its name in the store."""
    secret_key: str
    """Secret."""


def policy(rights: StoreRights, bucket: str) -> dict[str, Any]:
    """The IAM policy of an account.

    Args:
        rights: of the account.
        bucket: name of the bucket.
    """
    statements = [
        _allow(("s3:ListBucket", "s3:GetBucketLocation"), [bucket]),
        _allow(("s3:GetObject",), [f"{bucket}/*"]),
    ]
    if rights.replace:
        below = [f"{bucket}/{prefix}*" for prefix in rights.replace]
        statements.append(_allow((*_PUT, "s3:DeleteObject"), below))
    if rights.add:
        statements.append(_allow(_PUT, [f"{bucket}/{prefix}*" for prefix in rights.add]))
    if rights.remove:
        statements.append(_allow(("s3:ListBucketMultipartUploads",), [bucket]))
        below = [f"{bucket}/{prefix}*" for prefix in rights.remove]
        statements.append(_allow(("s3:DeleteObject", "s3:AbortMultipartUpload"), below))
    if rights.make_bucket:
        statements.append(_allow(("s3:CreateBucket",), [bucket]))
    return {"Version": "2012-10-17", "Statement": statements}


def policies(bucket: str) -> dict[Account, dict[str, Any]]:
    """The policy of every part that has an account in the store."""
    return {
        account: policy(granted.store, bucket)
        for account, granted in rights().items()
        if granted.store
    }


def policy_name(account: Account) -> str:
    """What the part's policy is called in the store."""
    return f"reclens-{account.value}"


def render_identities(keys: Mapping[Account, S3Keys], bucket: str) -> str:
    """SeaweedFS's ``s3.config``: every part with its keys and its policy.

    Args:
        keys: of every part that has an account in the store.
        bucket: name of the bucket.
    """
    found = policies(bucket)
    config = {
        "identities": [
            {
                "name": account.value,
                "credentials": [
                    {"accessKey": keys[account].access_key, "secretKey": keys[account].secret_key}
                ],
                # The older form of rights, which cannot tell adding from removing.
                "actions": [],
                "policyNames": [policy_name(account)],
            }
            for account in found
        ],
        "policies": [
            {"name": policy_name(account), "content": json.dumps(document)}
            for account, document in found.items()
        ],
    }
    return json.dumps(config, indent=2) + "\n"


def _allow(actions: tuple[str, ...], resources: list[str]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{resource}" for resource in resources],
    }
