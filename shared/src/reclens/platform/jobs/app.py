"""The Celery application, and a client of its Redis: one configuration for workers and for those
who submit."""

from __future__ import annotations

from celery import Celery
from kombu.entity import Exchange, Queue
from redis import Redis

from reclens.contracts import QueueName, job_kinds
from reclens.platform.settings.models import RedisSettings

_EXCHANGE = Exchange("reclens", type="direct")


def make_app(redis: RedisSettings, *, name: str = "reclens") -> Celery:
    """Build an application that routes every kind of job that is installed; nothing is connected
    until it is used.

    Raises:
        InvalidInput: a package declares a job that does not fit.
    """
    url = redis.url.get_secret_value()
    # One time-out for broker and results: where they differ, or where it is shorter than a job,
    # a job is delivered again while it runs.
    transport = {
        "visibility_timeout": redis.visibility_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    # Messages of dead workers are looked for every so often: by default every 100 seconds, which
    # would come on top of a short time-out.
    restore = {
        "unacked_restore_interval": max(1, min(10, redis.visibility_timeout_seconds // 10)),
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 30,
    }
    # Redis that is gone without a word, as a host that lost its power.
    timeouts = {"socket_connect_timeout": 5, "socket_timeout": 30}
    app = Celery(name, broker=url, backend=url)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_expires=redis.result_expires_seconds,
        result_extended=True,
        # `reclens.platform.jobs.runner` tells it, where the job has not ended before.
        task_track_started=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # The result of a pool process that died may still be in the pipe, for a moment.
        worker_lost_wait=1.0,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        # A running job outlives an outage of Redis. To cancel it takes Redis, too: where that is
        # away, Celery 5.7 ends the job's process and then notes the job as revoked.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # What Flower shows. Redis forgets it at once where nobody listens. It costs one PUBLISH
        # more to submit a job and one to run it, beside the twenty commands of an empty job: half
        # a millisecond each.
        worker_send_task_events=True,
        task_send_sent_event=True,
        broker_connection_retry_on_startup=True,
        # However long Redis is away: by default a worker gives up after 100 attempts.
        broker_connection_max_retries=None,
        broker_transport_options=transport | restore | timeouts,
        result_backend_transport_options=transport,
        redis_socket_keepalive=True,
        redis_socket_connect_timeout=5,
        redis_retry_on_timeout=True,
        task_queues=[Queue(queue.value, _EXCHANGE, routing_key=queue.value) for queue in QueueName],
        task_create_missing_queues=False,
        task_default_queue=QueueName.PIPELINE.value,
        task_default_exchange=_EXCHANGE.name,
        task_default_routing_key=QueueName.PIPELINE.value,
        task_routes={
            task: {"queue": kind.queue.value, "routing_key": kind.queue.value}
            for task, kind in job_kinds().items()
        },
    )
    return app


def connect(settings: RedisSettings, name: str | None = None) -> Redis:
    """A Redis client that answers in text and gives up within seconds; nothing is sent until the
    first call. Redis lists its connections under ``name``."""
    return Redis.from_url(
        settings.url.get_secret_value(),
        decode_responses=True,
        # Anybody may have put anything into a queue.
        encoding_errors="replace",
        client_name=name,
        socket_connect_timeout=5,
        socket_timeout=30,
        health_check_interval=10,
    )
