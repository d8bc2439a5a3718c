"""Every part can do its work in a real Redis, and nothing else."""

from __future__ import annotations

import pytest
import redis
from deployed_servers import Deployed, refused

from reclens.contracts import (
    DatasetSpec,
    QueueName,
)
from reclens.errors import RateLimited
from reclens.ops.deployment.access import Account
from reclens.platform.grpc.rates import RateLimits
from reclens.platform.jobs.lease import Lease
from reclens.platform.jobs.log import JobLog

WORKERS = (Account.RECOMMENDER, Account.TRAINER, Account.LABELER)
DANGEROUS = [
    ["flushall"], ["flushdb"], ["config", "get", "*"], ["keys", "*"], ["scan", "0"],
    ["shutdown", "nosave"], ["acl", "list"], ["debug", "sleep", "0"], ["client", "kill", "1"],
    ["replicaof", "no", "one"], ["save"], ["monitor"], ["swapdb", "0", "1"],
    ["eval", "return 1", "0"],
    ["set", "of-nobody", "1"], ["get", "of-nobody"], ["script", "flush"], ["module", "list"],
]  # fmt: skip


@pytest.mark.parametrize(
    "part", [part for part in Account if part not in (Account.INFERENCE, Account.RESTORE)]
)
def test_nobody_commands_the_server(deployed: Deployed, part: Account):
    client = deployed.redis(part)
    assert client.ping()
    allowed = [
        command
        for command in DANGEROUS
        if not refused(lambda c=command: client.execute_command(*c))
    ]
    assert allowed == []


def test_a_health_check_may_ask_whether_it_answers(deployed: Deployed):
    client = redis.Redis.from_url(f"redis://health:any@{deployed.redis_address}/0")
    assert client.ping()
    for command in (["get", "reclens:jobs"], ["llen", "capture"], ["info"], *DANGEROUS):
        assert refused(lambda command=command: client.execute_command(*command))
    assert refused(lambda: client.publish("/0.celery.pidbox", "stop"))


def test_nothing_is_done_without_a_login(deployed: Deployed):
    client = redis.Redis.from_url(f"redis://{deployed.redis_address}/0")
    with pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()
    for password in ("", "any"):
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis.from_url(f"redis://default:{password}@{deployed.redis_address}/0").ping()


def test_inference_has_no_login(deployed: Deployed):
    assert not (deployed.credentials / "inference" / "RECLENS_REDIS__URL").exists()
    assert "user inference" not in (deployed.credentials / "redis" / "users.acl").read_text()


@pytest.mark.parametrize("part", WORKERS)
def test_a_worker_holds_a_lease(deployed: Deployed, part: Account):
    with Lease(deployed.redis(part), f"autoencoders/{part}", 0.3) as lease:
        assert lease.acquire()
        lease.check()
        other = Lease(deployed.redis(Account.TRAINER), f"autoencoders/{part}", 0.3)
        assert not other.acquire()


@pytest.mark.parametrize("part", [Account.GATEWAY, Account.MONITORING])
def test_who_works_on_no_jobs_cannot_touch_queues(deployed: Deployed, part: Account):
    client = deployed.redis(part)
    for queue in QueueName:
        for name in (queue.value, f"{queue.value}\x06\x163"):
            for command in (
                ["lpush", name, "{}"], ["rpush", name, "{}"], ["rpop", name], ["brpop", name, "1"],
                ["lrange", name, "0", "-1"], ["del", name], ["unlink", name], ["expire", name, "1"],
                ["pexpire", name, "1"], ["rename", name, "reclens:rate:x"], ["set", name, "1"],
            ):  # fmt: skip
                assert refused(lambda command=command: client.execute_command(*command)), command
    assert refused(lambda: client.get("reclens:job:x"))
    assert refused(lambda: client.hgetall("reclens:job:x"))
    if part is Account.GATEWAY:
        assert refused(lambda: client.llen("capture"))
        assert refused(lambda: client.publish("/0.celery.pidbox", "stop"))
    else:
        assert client.llen("capture") == 0
        assert client.info()["redis_version"]


def test_garbage_collection_looks_at_jobs_and_changes_none(deployed: Deployed):
    client = deployed.redis(Account.GC)
    JobLog(deployed.redis_settings(Account.GC)).list()
    for command in (
        ["lpush", "train", "{}"], ["rpop", "train"], ["del", "train"],
        ["set", "reclens:job:x", "1"], ["set", "reclens:cancel:x", "1"],
        ["hset", "reclens:workers", "x", "1"], ["del", "reclens:lease:x"],
        ["get", "reclens:rate:x"],
    ):  # fmt: skip
        assert refused(lambda command=command: client.execute_command(*command)), command
    assert refused(lambda: client.publish("/0.celery.pidbox", "stop"))


async def test_the_gateway_counts_rates(deployed: Deployed):
    url = deployed.redis_settings(Account.GATEWAY).url.get_secret_value()
    limits = RateLimits(url, fail_open=False)
    await limits.take("shop", (2, 3600))
    await limits.take("shop", (2, 3600))
    with pytest.raises(RateLimited):
        await limits.take("shop", (2, 3600))
    await limits.close()


def test_workers_and_people_cannot_reset_rates(deployed: Deployed):
    for part in (*WORKERS, Account.OPERATOR, Account.INIT, Account.MONITORING):
        client = deployed.redis(part)
        assert refused(lambda client=client: client.get("reclens:rate:x"))


def test_an_operator_submits_lists_and_cancels(deployed: Deployed):
    log = JobLog(deployed.redis_settings(Account.OPERATOR))
    spec = DatasetSpec.parse({"name": "cancelled", "source": {"format": "table", "path": "x"}})
    job_id = log.submit(DatasetSpec.JOB.task, spec.canonical())
    assert job_id in [view.id for view in log.list()]
    log.cancel(job_id)
    assert log.cancelled(job_id)
