"""Hostile specifications, at the door of those who submit and behind it, and hostile messages in
the queues themselves."""

from __future__ import annotations

import base64
import json
import random
import time
import uuid
from typing import Any

from chaos.programs import until
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import ResponseError

from attack.oracle import Report
from attack.target import Target
from attack.values import HostileJson, case_rng, nested
from reclens import errors
from reclens.contracts import QueueName, job_kinds
from reclens.contracts.jobs.kinds import MAX_SPEC_BYTES
from reclens.errors import InternalError, RecLensError
from reclens.platform.jobs.app import make_app
from reclens.platform.jobs.spec_file import complete
from reclens.platform.jobs.view import JobState, JobView

SPECS, MESSAGES = "specs", "messages"
_SECONDS = 90.0
_GIANT_BYTES = 5 << 19  # in base64 below what Redis takes
_DELIBERATE = {
    name
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, RecLensError) and one is not InternalError
}


def run_specs(target: Target, seed: int, numbers: range) -> Report:
    """Send the specifications of these cases; jobs that no fault of theirs ends are cancelled."""
    report = Report(SPECS)
    app = make_app(target.redis.settings)
    sent: dict[str, int] = {}
    for number in numbers:
        rng = case_rng(seed, SPECS, number)
        hostile = HostileJson(rng, target.paths)
        task = rng.choice(sorted(target.specs))
        spec = hostile.mutated(target.specs[task])
        report.note(number, "sent")
        try:
            complete({"task": task, "spec": spec})
        except RecLensError as error:
            report.refused(number, error)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            report.breaks(number, f"submit of {task}: {type(error).__name__}: {error}")
        # Whoever may send messages need not ask at the door.
        job_id = str(uuid.uuid4())
        try:
            if len(json.dumps(spec)) <= MAX_SPEC_BYTES:
                app.send_task(task, kwargs={"spec": spec}, task_id=job_id)
                sent[job_id] = number
        except (ValueError, RecursionError):
            report.outcomes["no message can carry it"] += 1
    await_ends(target, report, sent)
    return report


def await_ends(target: Target, report: Report, sent: dict[str, int]) -> None:
    """Wait until all of these jobs have ended, and judge how."""
    waiting, deadline = dict(sent), time.monotonic() + _SECONDS
    last = time.monotonic()
    while waiting:
        for job_id, number in list(waiting.items()):
            try:
                view = target.joblog.show(job_id)
            except errors.NotFound:
                view = None
            except Exception as error:  # noqa: BLE001
                report.breaks(number, f"`jobs show` fails: {type(error).__name__}: {error}")
                del waiting[job_id]
                continue
            if view is not None and view.state.final:
                del waiting[job_id]
                last = time.monotonic()
                _judge(report, number, view)
        if time.monotonic() > max(deadline, last + _SECONDS):
            break
        time.sleep(0.2)
    for job_id, number in waiting.items():
        try:
            view = target.joblog.show(job_id)
            stands = f"{view.task} is {view.state.value}"
        except errors.NotFound:
            stands = "no worker has met it"
        report.breaks(number, f"job {job_id} does not end: {stands}")


def _judge(report: Report, number: int, view: JobView) -> None:
    try:
        told = json.dumps(view.canonical())
    except Exception as error:  # noqa: BLE001 - whatever a job was, people must see it
        report.breaks(number, f"`jobs show --json` fails: {type(error).__name__}: {error}")
        told = str(view)
    report.told(number, told)
    report.outcomes[f"job {view.state.value.lower()}"] += 1
    error = view.error
    if view.state is JobState.FAILED and error is not None:
        report.outcomes[f"job: {error.type}"] += 1
        if error.type not in _DELIBERATE or not error.message:
            report.breaks(number, f"{view.task}: {error.type}: {error.message[:300]}")


# --- messages ------------------------------------------------------------------------------------


def message(target: Target, rng: random.Random) -> bytes:
    """Bytes to push onto a queue: damaged ever deeper in what a worker unpacks."""
    hostile = HostileJson(rng, target.paths)
    task = rng.choice([*sorted(target.specs), "reclens.nothing.v1", "celery.accumulate", "\x1b"])
    spec = target.specs.get(task, {})
    kind = rng.randrange(8)
    if kind == 0:
        return hostile.noise()
    if kind == 1:
        return json.dumps(hostile.value()).encode()
    if kind == 2:
        deep = rng.choice((500, 100_000))
        return b"[" * deep + b"]" * deep
    kwargs: Any = {"spec": spec}
    if kind == 3:
        kwargs = rng.choice((hostile.value(), {}, {"spec": spec, "more": 1}, {"spec": nested(300)}))
    body: Any = [[], kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    if kind == 4:
        body = hostile.mutated(body)
    data = json.dumps(body).encode()
    if kind == 5:
        data = rng.choice((hostile.noise(), b"", b"x" * _GIANT_BYTES, b"\x80\x04."))
    job_id = str(uuid.UUID(int=rng.getrandbits(128)))
    envelope: Any = {
        "body": base64.b64encode(data).decode(),
        "content-encoding": "utf-8",
        "content-type": rng.choice(("application/json",) * 5 + ("application/x-python-serialize",)),
        "headers": {
            **{"lang": "py", "task": task, "id": job_id, "root_id": job_id, "parent_id": None},
            **{"group": None, "retries": 0, "timelimit": [None, None], "eta": None},
            **{"argsrepr": "()", "kwargsrepr": "{}", "origin": "attack", "ignore_result": False},
        },
        "properties": {
            **{"correlation_id": job_id, "reply_to": str(uuid.UUID(int=1)), "delivery_mode": 2},
            "delivery_info": {"exchange": "reclens", "routing_key": "capture"},
            **{"priority": 0, "body_encoding": "base64", "delivery_tag": job_id},
        },
    }
    if kind >= 6:
        envelope = hostile.mutated(envelope)
    return json.dumps(envelope).encode()


def run_messages(target: Target, seed: int, numbers: range) -> Report:
    """Push these messages; after each few, a job must still go through each queue."""
    report = Report(MESSAGES)
    for number in numbers:
        rng = case_rng(seed, MESSAGES, number)
        queue = rng.choice(list(QueueName)).value
        report.note(number, _pushed(target, queue, message(target, rng)))
        if number % 20 == 19 or number == numbers[-1]:
            _still_works(target, report, number)
    return report


def _pushed(target: Target, queue: str, data: bytes) -> str:
    """Push a message; Redis refuses one that is too large, and goes on."""
    try:
        target.redis.client.lpush(queue, data)
    except (ResponseError, RedisGone):
        target.redis.client.ping()
        return "refused by Redis"
    return "pushed"


def _still_works(target: Target, report: Report, number: int) -> None:
    sent = {}
    for queue in QueueName:
        task = next(t for t, k in job_kinds().items() if k.queue is queue and t in target.specs)
        sent[target.joblog.submit(task, {"not": "a specification"})] = queue.value

    def refused(job_id: str) -> bool:
        return target.joblog.show(job_id).state.final

    for job_id, queue in sent.items():
        if not until(lambda one=job_id: refused(one), _SECONDS):
            report.breaks(number, f"queue {queue} is stuck")
    left = target.redis.client.llen
    if stuck := [queue.value for queue in QueueName if left(queue.value)]:
        until(lambda: not any(left(queue) for queue in stuck), 20)
        stuck = [queue for queue in stuck if left(queue)]
    if stuck:
        report.breaks(number, f"messages are left in {', '.join(stuck)}")
        target.redis.client.delete(*stuck)
