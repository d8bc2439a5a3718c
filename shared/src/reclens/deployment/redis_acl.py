"""Redis' file of users, for ``aclfile``: who may run which commands on which keys and channels.

Only SHA-256 digests of the passwords are in it. For Redis 6.2 and later.
"""

from __future__ import annotations

from collections.abc import Mapping

from reclens.contracts import sha256_hex
from reclens.deployment.access import RIGHTS, Part, RedisRights

# Whoever does not log in may ask whether Redis answers: health checks need no secret.
_DEFAULT = "user default on nopass resetkeys resetchannels -@all +ping"


def render_acl(passwords: Mapping[Part, str]) -> str:
    """The file's text.

    Args:
        passwords: of the parts that are to have an account.
    """
    users = [
        _user(part, rights.redis, passwords[part])
        for part, rights in RIGHTS.items()
        if rights.redis and part in passwords
    ]
    return "\n".join([_DEFAULT, *users]) + "\n"


def _user(part: Part, rights: RedisRights, password: str) -> str:
    rules = [
        f"user {part.value}",
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
