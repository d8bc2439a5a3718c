"""Requests that nobody in their right mind sends, for every method a service has.

They are made from the message descriptors, so a method or field that is added is tried as well.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b\r\n\x1b[31m",
    "../../../etc/passwd",
    "'; DROP TABLE users; --",
    "%s%n{0}{{}}",
    "Ünïcödé 漢字 \u202e \U0001f47b",
    "-1",
    "NaN",
    "a" * 300,
)
_FLOATS = (
    *(0.0, -0.0, 0.4, -0.4, 1.0, 0.5, 2.0, 100.0, 100.0001, -100.0, -101.0, 1e-300, 5e-324),
    *(1.7e308, -1.7e308, float("nan"), float("inf"), float("-inf")),
)
_COUNTS = (0, 1, 2, 3, 5, 10, 31, 32, 40, 256, 257, 1000, 1001, 10_001, 2**31 - 1, 2**31, 2**32 - 1)
_INTEGERS: dict[int, tuple[int, ...]] = {
    FieldDescriptor.TYPE_BOOL: (0, 1),
    FieldDescriptor.TYPE_ENUM: (0, 1, 1, 2, 3, 99, -1, 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: _COUNTS,
    FieldDescriptor.TYPE_UINT64: (0, 1, 2**63),
    FieldDescriptor.TYPE_INT32: (0, 1, -1, 2**31 - 1, -(2**31)),
}

KNOWN = {
    "release": ("", "", "default"),
    "name": ("", "default"),
    "user_id": ("user-0", "user-3", "user-11", "user-99"),
    "item_ids": tuple(f"item-{i}" for i in range(42)),
    "exclude_item_ids": tuple(f"item-{i}" for i in range(42)),
    "liked_item_ids": tuple(f"item-{i}" for i in range(42)),
    "disliked_item_ids": tuple(f"item-{i}" for i in range(42)),
    "item_id": ("item-0", "item-3"),
    "concept_id": ("film-noir", "comedy", "western", "never", "unknown"),
    "policy_id": ("less-comedy", "noir"),
    "tag": ("Drama", "Comedy", "Crime"),
    "text": ("noir", "slow crime dramas", "comedy"),
    "page_token": ("", "bnVsbA==", "WzEsMiwzXQ=="),
}
"""Values of `served_world`, by field name."""


@dataclass
class Hostile:
    """Makes messages from one source of randomness.

    Args:
        rng: source of randomness.
        known: by field name, values that the server knows, so that requests get past the door.
        presence: chance that a field is set at all.
        huge: chance that a list or text is far too long.
    """

    rng: random.Random
    known: Mapping[str, Sequence[str]]
    presence: float = 0.6
    huge: float = 0.002

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """A message of this kind with whatever in it."""
        message = GetMessageClass(descriptor)()
        for oneof in descriptor.oneofs:
            if self.rng.random() < 0.9:
                self._set(message, self.rng.choice(list(oneof.fields)), depth)
        for field in descriptor.fields:
            if field.containing_oneof is None and self.rng.random() < self.presence:
                self._set(message, field, depth)
        return message

    def raw(self, descriptor: Descriptor) -> bytes:
        """Bytes: noise, or a message that was damaged on its way."""
        if self.rng.random() < 0.3:
            return self.rng.randbytes(self.rng.randrange(1, 200))
        data = bytearray(self.message(descriptor).SerializeToString())
        for _ in range(self.rng.randrange(1, 5)):
            if data:
                data[self.rng.randrange(len(data))] = self.rng.randrange(256)
        return bytes(data[: self.rng.randrange(len(data) + 1)])

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if field.is_repeated:
            target = getattr(message, field.name)
            for _ in range(self._length(field, depth)):
                if field.message_type is None:
                    target.append(self._value(field))
                else:
                    target.add().CopyFrom(self.message(field.message_type, depth + 1))
        elif field.message_type is None:
            setattr(message, field.name, self._value(field))
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
            inner.CopyFrom(self.message(field.message_type, depth + 1))

    def _length(self, field: FieldDescriptor, depth: int) -> int:
        if self.rng.random() < self.huge:
            return 20_000 if field.message_type is None else 300 // (depth + 1)
        return self.rng.choice((0, 1, 1, 2, 3))

    def _value(self, field: FieldDescriptor) -> Any:
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._text(field)
        return self._number(field.type)

    def _text(self, field: FieldDescriptor) -> str:
        known = self.known.get(field.name)
        if known and self.rng.random() < 0.8:
            return self.rng.choice(known)
        return "x" * 200_000 if self.rng.random() < self.huge else self.rng.choice(_TEXTS)

    def _number(self, kind: int) -> float | int | bool:
        if kind in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
            if self.rng.random() < 0.7:
                return self.rng.uniform(-0.2, 1)
            value = self.rng.choice(_FLOATS)
            # protobuf refuses what a float cannot hold before anything is sent.
            too_large = kind == FieldDescriptor.TYPE_FLOAT and 1e38 < abs(value) < float("inf")
            return 0.5 if too_large else value
        if kind == FieldDescriptor.TYPE_UINT32 and self.rng.random() < 0.6:
            return self.rng.randrange(32)
        return self.rng.choice(_INTEGERS[kind])
