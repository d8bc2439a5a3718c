"""Redis' file of users, for ``aclfile``: who may run which commands on which keys and channels.

Only SHA-256 digests of the passwords are in it. For Redis 6.2 and later.
"""

from __future__ import annotations

from collections.abc import Mapping

from reclens.contracts import sha256_hex
from reclens.ops.deployment.access import Account, RedisRights, rights

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
