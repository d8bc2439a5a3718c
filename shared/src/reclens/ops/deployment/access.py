"""Who may do what: one table, from which the rules of Redis and of the object store are rendered.

Rights are by account, not by process: two trainers share one. What a worker may write follows from
the kinds of job that it owns. In Redis, a key is either out of
reach or open to all commands that the account has (rules that tell reading from writing came with
Redis 7; these work from 6.2 on). So all workers, who hand jobs to one another, reach all queues.
What cannot be told apart in Redis is told apart in the store: there a worker writes the kinds of
artifact that it makes, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reclens.contracts import QueueName, WorkerName, job_kinds


class Account(StrEnum):
    """An account in Redis, in the store, or in both."""

    RECOMMENDER = WorkerName.RECOMMENDER.value
    """The worker that imports data, trains recommenders, captures and evaluates."""
    INFERENCE = "inference"
    """The server of InferenceService."""
    TRAINER = WorkerName.TRAINER.value
    """The worker that trains autoencoders."""
    LABELER = WorkerName.LABELER.value
    """The worker that labels, conducts pipelines and publishes releases."""
    GATEWAY = "gateway"
    """The server of SteeringService."""
    OPERATOR = "operator"
    """A person with the command line."""
    INIT = "init"
    """What runs once at the start: makes the bucket, submits the first pipeline."""
    GC = "gc"
    """`reclens gc`: removes what nothing needs, and writes nothing."""
    RESTORE = "restore"
    """`reclens restore`: puts back what a backup has. No container that lasts has its keys."""
    MONITORING = "monitoring"
    """Flower and exporters of metrics."""


@dataclass(frozen=True)
class StoreRights:
    """Rights in the bucket, beyond reading and listing all of it, which comes with any."""

    replace: tuple[str, ...] = ()
    """Prefixes below which objects may be put, replaced and removed."""
    add: tuple[str, ...] = ()
    """Prefixes below which objects may be put and not removed."""
    remove: tuple[str, ...] = ()
    """Prefixes below which objects, and uploads that were never finished, may be removed and not
    put."""
    make_bucket: bool = False
    """Whether the bucket may be made where it is missing. Nobody may remove it."""


@dataclass(frozen=True)
class RedisRights:
    """Rights in database 0 of Redis."""

    commands: tuple[str, ...]
    """Commands, or ``command|subcommand``. All others are refused."""
    keys: tuple[str, ...]
    """Patterns of keys."""
    channels: tuple[str, ...] = ()
    """Channels to publish to, and channels and patterns to subscribe to, as they are asked for."""


@dataclass(frozen=True)
class Rights:
    """All rights of one account. None: it does not exist there."""

    store: StoreRights | None = None
    redis: RedisRights | None = None


_CONNECTION: Final = ("ping", "echo")
_TRANSACTIONS: Final = ("multi", "exec", "discard", "watch", "unwatch")
# Scripts run with the rights of whoever calls them: they reach nothing that he does not.
_SCRIPTS: Final = ("evalsha", "script|load", "script|exists")
_VALUES: Final = (
    "get", "mget", "set", "setex", "incrby", "del", "exists", "expire", "pexpire", "ttl",
)  # fmt: skip
_HASHES: Final = ("hget", "hgetall", "hset", "hsetnx", "hincrby", "hdel")
_LISTS: Final = ("lpush", "rpush", "brpop", "rpop", "llen", "lrange")
_SETS: Final = ("sadd", "srem", "smembers", "sismember")
_SORTED_SETS: Final = (
    "zadd", "zrem", "zcount", "zrange", "zrevrange", "zrangebyscore", "zrevrangebyscore",
    "zremrangebyscore",
)  # fmt: skip
_MESSAGES: Final = ("publish", "subscribe", "unsubscribe", "psubscribe", "punsubscribe")
_JOB_COMMANDS: Final = (
    *_CONNECTION, *_TRANSACTIONS, *_SCRIPTS, *_VALUES, "pttl", "time", *_HASHES, *_LISTS, *_SETS,
    *_SORTED_SETS, *_MESSAGES,
)  # fmt: skip

# A queue is a list; one of another priority has its number after two separating characters.
_QUEUES: Final = tuple(pattern for queue in QueueName for pattern in (queue, f"{queue}??[369]"))
_BINDINGS: Final = ("_kombu.binding.*", "_kombu.binding_permanent.*", "_kombu.binding_deadlines")
_RESULTS: Final = ("celery-task-meta-*", "celery-taskset-meta-*")
# Queues of control commands and their answers, one a process.
_CONTROL_QUEUES: Final = ("*.celery.pidbox", "*.celery.pidbox??[369]")
_EVENT_QUEUES: Final = ("celeryev.*",)
_JOB_LOG: Final = ("reclens:jobs", "reclens:job:*", "reclens:cancel:*")
_WORK: Final = ("reclens:lease:*", "reclens:deliveries:*", "reclens:waiting:*")
# Workers' heartbeats, and the messages that each has in hand: see platform.celery.failure_detector.
_MEMBERS: Final = (
    "reclens:workers", "reclens:unacked:*", "reclens:unacked-index:*", "reclens:unacked-mutex:*",
)  # fmt: skip
_RATES: Final = ("reclens:rate:*",)

_CONTROL: Final = "/0.celery.pidbox"
# Workers publish below it; whoever watches subscribes to exactly this pattern.
_EVENTS: Final = "/0.celeryev/*"
_RESULT_CHANNELS: Final = ("celery-task-meta-*",)

_WORKER: Final = RedisRights(
    # A worker names its connections, and looks whether they wait for messages.
    commands=(*_JOB_COMMANDS, "hkeys", "client|setname", "client|list"),
    keys=(*_QUEUES, *_BINDINGS, *_MEMBERS, *_RESULTS, *_CONTROL_QUEUES, *_JOB_LOG, *_WORK),
    channels=(_CONTROL, _EVENTS, *_RESULT_CHANNELS),
)
_OPERATOR: Final = RedisRights(
    # `reclens doctor` asks how durable Redis is, and how full. A job that is submitted waits for
    # Redis' disk: WAITAOF, which Redis before 7.2 does not know by its name. Whatever else blocks
    # takes from the keys below.
    commands=(*_JOB_COMMANDS, "info", "@blocking"),
    keys=(*_WORKER.keys, *_EVENT_QUEUES),
    channels=_WORKER.channels,
)
_SUBMITTING: Final = RedisRights(
    commands=(
        *_CONNECTION, *_TRANSACTIONS, *_VALUES, "evalsha", "script|load", *_HASHES, "lpush", "llen",
        "sadd", "smembers", "zadd", "zrevrange", "zremrangebyscore", "subscribe", "unsubscribe",
    ),
    keys=(*_QUEUES, *_BINDINGS, *_RESULTS, *_JOB_LOG, "reclens:init:*"),
    channels=_RESULT_CHANNELS,
)  # fmt: skip
# It looks at jobs, and at messages, to see what they need.
_LOOKING: Final = RedisRights(
    commands=(
        *_CONNECTION, "get", "mget", "exists", "hget", "hgetall", "lrange", "zrevrange",
    ),
    keys=(*_QUEUES, *_MEMBERS, *_RESULTS, *_JOB_LOG, *_WORK),
)  # fmt: skip
_COUNTING: Final = RedisRights(
    commands=(
        *_CONNECTION, "evalsha", "script|load", "get", "set", "exists", "incrby", "expire",
        "ttl", "pttl", "rename",
    ),
    keys=_RATES,
)  # fmt: skip
# It sees lengths, events and results, and asks workers for their events, which is a message as
# every other command to them. It can neither take from a queue nor add to one nor empty it, so it
# has no answers of workers either: they come through queues. It writes the bindings of its
# subscription.
_WATCHING: Final = RedisRights(
    commands=(
        *_CONNECTION, "select", *_TRANSACTIONS, "evalsha", "script|load", "script|exists", "time",
        "info", "slowlog|get", "slowlog|len", "latency|latest", "latency|histogram",
        "memory|usage", "type", "exists", "llen", "hlen", "zcard", "get", "mget", "sadd", "srem",
        "smembers", "zadd", "zrem", "zrangebyscore", *_MESSAGES,
    ),
    keys=(*_QUEUES, *_BINDINGS, *_RESULTS, *_EVENT_QUEUES, *_CONTROL_QUEUES),
    channels=(_CONTROL, _EVENTS, *_RESULT_CHANNELS),
)  # fmt: skip


def rights() -> dict[Account, Rights]:
    """What each account may do."""
    return {
        **{Account(worker.value): Rights(_owned_by(worker), _WORKER) for worker in WorkerName},
        Account.INFERENCE: Rights(StoreRights()),
        Account.GATEWAY: Rights(StoreRights(add=("policies/",)), _COUNTING),
        Account.OPERATOR: Rights(StoreRights(add=("edits/",)), _OPERATOR),
        Account.INIT: Rights(StoreRights(make_bucket=True), _SUBMITTING),
        Account.GC: Rights(StoreRights(remove=_perishable()), _LOOKING),
        Account.RESTORE: Rights(StoreRights(add=(*_perishable(), "edits/"))),
        Account.MONITORING: Rights(redis=_WATCHING),
    }


def _owned_by(worker: WorkerName) -> StoreRights:
    """Artifacts that its jobs make, with their checkpoints, and what they add besides."""
    kinds = [kind for kind in job_kinds().values() if kind.owner is worker]
    made = dict.fromkeys(kind.makes for kind in kinds if kind.makes is not None)
    added = dict.fromkeys(prefix for kind in kinds for prefix in kind.writes)
    return StoreRights(
        replace=tuple(f"{above}{kind}/" for kind in made for above in ("", "checkpoints/")),
        add=("dead-letters/", *added),
    )


def _perishable() -> tuple[str, ...]:
    """All that jobs leave, and versions of releases and policies; no correction of a person."""
    owned = [_owned_by(worker) for worker in WorkerName]
    left = dict.fromkeys(prefix for one in owned for prefix in (*one.replace, *one.add))
    return tuple(dict.fromkeys((*left, "releases/", "policies/")))
