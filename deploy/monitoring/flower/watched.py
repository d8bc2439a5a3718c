"""The Celery application that Flower watches: its broker, and the queues that it lists.

Flower finds it by ``--app=watched``. Without a result backend it needs fewer rights in Redis: what
it shows comes from events.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery
from kombu.entity import Exchange, Queue

_VARIABLE = "RECLENS_REDIS__URL"
_QUEUES = ("capture", "train", "label", "pipeline")


def broker_url(secrets: Path) -> str:
    """Redis address out of the folder of secrets, credentials included.

    Raises:
        SystemExit: the file is missing or empty; the message names it.
    """
    file = secrets / _VARIABLE
    try:
        url = file.read_text().strip()
    except OSError as error:
        raise SystemExit(f"cannot read {file} ({error.strerror}): mount the secrets.") from error
    if not url:
        raise SystemExit(f"{file} is empty: it holds the address of Redis, redis://...")
    return url


def make_app(url: str) -> Celery:
    """An application that watches ``url``; nothing is connected until it is used."""
    app = Celery("watched", broker=url)
    exchange = Exchange("reclens", type="direct")
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        # Listed while no worker is there to name them.
        task_queues=[Queue(name, exchange, routing_key=name) for name in _QUEUES],
        task_default_queue="pipeline",
        task_create_missing_queues=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"socket_keepalive": True, "health_check_interval": 10},
    )
    return app


app = make_app(broker_url(Path(os.environ.get("RECLENS_SECRETS_DIR", "/run/secrets/reclens"))))
