"""Kombu's Redis transport, mended where a worker with jobs in hand loses Redis.

Three things go wrong in kombu and Celery 5.7. A channel that was closed has forgotten where Redis
is and is still asked to acknowledge what it delivered: `AttributeError`, which ends the worker. A
lost connection puts all messages in hand back into the queue, though their jobs go on. And a
message that was taken while Redis is full is in nobody's hands.

Besides, a message that is none ends the worker, or comes back for ever: it is dropped here.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Annotated, Any, Literal

import structlog
from celery.worker import state
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from pydantic import AfterValidator, Base64Bytes, BaseModel, Field, TypeAdapter, ValidationError

from reclens.contracts import QueueName
from reclens.platform.jobs.outages import REFUSALS, outage_of

_NOTE_SECONDS = 0.5
_QUEUES = frozenset(QueueName)

_log = structlog.get_logger(__name__)


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

    def _brpop_read(self, **options: Any) -> Any:
        """Take one message. What is no JSON is dropped: it would end the worker."""
        try:
            return super()._brpop_read(**options)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            _log.warning("message.dropped", why=type(error).__name__)
            return True


def _check_moment(value: str) -> str:
    datetime.fromisoformat(value)
    return value


_Moment = Annotated[str, AfterValidator(_check_moment)]
# Arguments, arguments by name, and what is chained to the task.
_BODY = TypeAdapter(tuple[list[Any], dict[str, Any], dict[str, Any] | None])


def _check_body(value: bytes) -> bytes:
    # As Celery reads it: half a surrogate pair is text to Python, and to Pydantic it is not.
    try:
        _BODY.validate_python(json.loads(value))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


class _Destination(BaseModel):
    exchange: str
    routing_key: str


class _Properties(BaseModel):
    delivery_tag: str
    delivery_info: _Destination
    body_encoding: Literal["base64"]
    correlation_id: str
    reply_to: str | None = None
    priority: int = 0


class _Headers(BaseModel):
    task: str
    id: str
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    eta: _Moment | None = None
    expires: _Moment | None = None
    retries: int = Field(default=0, ge=0, le=1_000_000)
    timelimit: tuple[float | None, float | None] = (None, None)
    compression: None = None


class Envelope(BaseModel):
    """What Celery asks of a message without looking whether it is there."""

    body: Annotated[Base64Bytes, AfterValidator(_check_body)]
    content_type: str = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    properties: _Properties
    headers: _Headers


class Transport(kombu_redis.Transport):
    """The Redis transport with channels of that kind, which connects anew where Redis fails over or
    is full, as where it is away."""

    Channel = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, *REFUSALS)

    def _deliver(self, message: Any, queue: str) -> None:
        """Hand a message to the worker. One that it cannot even refuse is dropped."""
        try:
            # Other queues carry what workers say to each other.
            if queue in _QUEUES:
                Envelope.model_validate(message)
        except ValidationError as error:
            where = [".".join(map(str, one["loc"]))[:80] for one in error.errors()[:3]]
            _log.warning("message.dropped", queue=queue, why=f"no envelope: {', '.join(where)}")
            return
        super()._deliver(message, queue)


def is_stopping() -> bool:
    """Whether this process's worker was told to stop."""
    return any(told not in (None, False) for told in (state.should_stop, state.should_terminate))


def use_our_transport() -> None:
    """Let addresses ``redis://`` and ``rediss://`` mean this transport, in this process.

    Call before the first connection is made.
    """
    ours = f"{__name__}:{Transport.__name__}"
    TRANSPORT_ALIASES.update(redis=ours, rediss=ours)
