"""Secrets are taken out of what is kept for others to read: logs, results of jobs, spans.

A secret is known by its value, as the settings that were read in this process have it, or by where
it stands: before the ``@`` of an address, behind ``Bearer``, in a signature. Plain searches come
first, as nearly all text has none of them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN: Final = "[secret]"
"""What stands in a secret's place."""
_MOST: Final = 1000
_WORD: Final = 16
_SHORTEST: Final = 8
_REST: Final = r"[^\s&,;\"'\\]{8,}"
_PLACES: Final = {
    "://": re.compile(r"(?<=://)[^\s/\"'\\]+(?=@)"),
    "earer ": re.compile(rf"(?<=earer ){_REST}"),
    "ignature=": re.compile(rf"(?<=ignature=){_REST}"),
    "redential=": re.compile(rf"(?<=redential=){_REST}"),
    "oken=": re.compile(rf"(?<=oken=){_REST}"),
    # Tokens of clients: their own process alone has them in its settings.
    "reclens_": re.compile(r"reclens_[\w-]{43}"),
}
"""What tells that a secret follows, and the secret."""

_known: dict[str, None] = {}


def hide(settings: BaseModel) -> None:
    """Scrub the secrets of ``settings`` from here on: every `SecretStr`, of an address in one the
    password alone. Short ones that may be names, as keys of some stores are, are passed over."""
    for value in _secrets(settings):
        password = urlsplit(value).password if "://" in value else value
        for form in () if password is None else (password, unquote(password)):
            distinct = len(form) >= _WORD or not form.replace("-", "").islower()
            if distinct and len(form) >= _SHORTEST and len(_known) < _MOST:
                # As it is, within JSON, and within an address.
                _known.update(dict.fromkeys((form, json.dumps(form)[1:-1], quote(form, safe=""))))


def scrub(text: str) -> str:
    """``text`` with `HIDDEN` in place of every secret."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    for mark, secret in _PLACES.items():
        if mark in text:
            text = secret.sub(HIDDEN, text)
    return text


def _secrets(value: Any) -> list[str]:
    if isinstance(value, SecretStr):
        return [value.get_secret_value()]
    if isinstance(value, BaseModel):
        return [secret for _, part in value for secret in _secrets(part)]
    return []
