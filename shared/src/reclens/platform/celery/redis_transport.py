"""Kombu's Redis transport, mended where a worker with jobs in hand loses Redis.

Three things go wrong in kombu and Celery 5.7. A channel that was closed has forgotten where Redis
is and is still asked to acknowledge what it delivered: `AttributeError`, which ends the worker. A
lost connection puts all messages in hand back into the queue, though their jobs go on. And a
message that was taken while Redis is full is in nobody's hands.
"""

from __future__ import annotations

import time
from typing import Any

from celery.worker import state
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from reclens.platform.jobs.outages import REFUSALS, outage_of

_NOTE_SECONDS = 0.5


class QoS(kombu_redis.QoS):
    """What a channel has delivered and nobody has acknowledged."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message that was taken from its queue. Where Redis cannot note it just now, it is
        in this process alone, and would be lost with a lost connection."""
        while True:
            try:
                super().append(message, delivery_tag)
                return
            except Exception as error:
                if outage_of(error) is None or is_stopping():
                    raise
                time.sleep(_NOTE_SECONDS)

    def restore_unacked(self, client: Any = None) -> None:
        """Put it back where the worker stops. Where only the connection is lost, the jobs go on;
        `reclens.platform.celery.failure_detector` hands back what nobody works on."""
        if is_stopping():
            super().restore_unacked(client)
        else:
            self._delivered.clear()  # type: ignore[union-attr]


class Channel(kombu_redis.Channel):
    """A channel that can still reach Redis after it was closed."""

    QoS = QoS
    _address: dict[str, Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._address = super()._connparams()

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        closed = self.connection is None or self.connection.client is None
        if closed and self._address is not None:
            return dict(self._address)
        return super()._connparams(asynchronous)


class Transport(kombu_redis.Transport):
    """The Redis transport with channels of that kind, which connects anew where Redis fails over or
    is full, as where it is away."""

    Channel = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, *REFUSALS)


def is_stopping() -> bool:
    """Whether this process's worker was told to stop."""
    return any(told not in (None, False) for told in (state.should_stop, state.should_terminate))


def use_our_transport() -> None:
    """Let addresses ``redis://`` and ``rediss://`` mean this transport, in this process.

    Call before the first connection is made.
    """
    ours = f"{__name__}:{Transport.__name__}"
    TRANSPORT_ALIASES.update(redis=ours, rediss=ours)
