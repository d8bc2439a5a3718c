"""What all contracts share: immutable, closed to unknown fields, canonical as JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from reclens.errors import InvalidSpec


class Contract(BaseModel):
    """A frozen value that refuses unknown fields.

    Field docstrings are the reference: the CLI help and JSON schema are generated from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def parse(cls, payload: Any) -> Self:
        """Validate ``payload`` (a mapping or a JSON text).

        Raises:
            InvalidSpec: names every offending field by its dotted path.
        """
        try:
            if isinstance(payload, str | bytes):
                return cls.model_validate_json(payload)
            return cls.model_validate(payload)
        except ValidationError as error:
            problems = [
                (".".join(str(part) for part in item["loc"]) or "(whole)", item["msg"])
                for item in error.errors()
            ]
            first, *others = problems
            raise InvalidSpec(
                "; ".join([first[1], *(f"{where}: {what}" for where, what in others)]) + ".",
                field=first[0],
                remedy=f"see the fields of {cls.__name__} in docs/jobs.md.",
            ) from error

    def canonical(self) -> dict[str, Any]:
        """The value as plain JSON types, defaults included, so that ids do not depend on style."""
        return self.model_dump(mode="json")


def canonical_json(value: Any) -> bytes:
    """Serialise with sorted keys and no white space: the bytes that are hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
