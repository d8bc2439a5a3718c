"""A Redis that can be stopped and started again, on the same port and with its data."""

from __future__ import annotations

import subprocess
from pathlib import Path

from running_stack import wait_for

from reclens.ops.local.health import redis_answers
from reclens.ops.local.servers import free_ports, redis_command, redis_settings
from reclens.platform.settings.models import RedisSettings


class RestartedRedis:
    """Durable as in operation: what it acknowledged is there after a restart."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (self._port,) = free_ports(1)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.settings: RedisSettings = redis_settings(self._port)
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return self.settings.url.get_secret_value()

    def start(self) -> None:
        """Return when it answers."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                redis_command(self._port, self._folder), stdout=log, stderr=log
            )
        wait_for(lambda: redis_answers(self.settings), "Redis")

    def stop(self) -> None:
        """End it in order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
