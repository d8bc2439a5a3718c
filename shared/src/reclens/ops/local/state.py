"""The folder in which a local stack keeps its data, ports, credentials and logs."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reclens.errors import NotReady
from reclens.ops.local.servers import (
    LOOPBACK,
    S3_PORTS,
    keep_or_draw,
    redis_settings,
    s3_settings,
    write_identity,
)
from reclens.platform.files import write_atomically
from reclens.platform.settings.files import STATE_DIR_VARIABLE
from reclens.platform.settings.models import ClientSettings, GatewayTarget

DEFAULT_STATE_DIR = ".reclens"

_OTHER_PORTS = ("redis", "gateway", "inference")
# The kernel's limit is 108 bytes, macOS' 104; supervisord appends its process id at first.
_LONGEST_SOCKET_PATH = 92


class StateFolder:
    """Everything that one local stack keeps on disk. Only its owner may read it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.pids = self.root / "run"
        self.redis_data = self.root / "redis"
        self.s3_data = self.root / "s3"
        self.s3_identity = self.root / "s3.json"
        self.endpoints_file = self.root / "endpoints.json"
        self.environment_file = self.root / "env"
        self._ports_file = self.root / "ports.json"
        self._socket_file = self.pids / "socket-path"

    @classmethod
    def default(cls) -> StateFolder:
        """``$RECLENS_STATE_DIR``, else ``.reclens`` of the current folder."""
        return cls(Path(os.environ.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR))

    def prepare(self) -> None:
        """Make the folders and, once, the S3 credentials."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.logs, self.pids, self.redis_data, self.s3_data):
            folder.mkdir(exist_ok=True, mode=0o700)
        if not self.s3_identity.exists():
            write_identity(self.s3_identity)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack's lock: two ``reclens up`` at once take turns."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- ports -----------------------------------------------------------------------------------

    def choose_ports(self) -> dict[str, int]:
        """Keep the ports of the last run where they are free; draw the others. Noted on disk."""
        known = self.ports() or {}
        chosen = keep_or_draw({name: known.get(name) for name in (*S3_PORTS, *_OTHER_PORTS)})
        write_atomically(self._ports_file, json.dumps(chosen, indent=2))
        return chosen

    def ports(self) -> dict[str, int] | None:
        """Ports of the last run by name; None where there was none."""
        try:
            return json.loads(self._ports_file.read_text())
        except FileNotFoundError:
            return None

    @property
    def socket(self) -> Path:
        """Where supervisord listens: in this folder, or in a private one where that is too deep."""
        inside = self.pids / "supervisor.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        if not self._socket_file.exists():
            self.pids.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._socket_file.write_text(tempfile.mkdtemp(prefix="reclens-"))
        folder = Path(self._socket_file.read_text())
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder / "supervisor.sock"

    # --- what others read ------------------------------------------------------------------------

    def settings(self) -> ClientSettings:
        """How to reach the stack of this folder.

        Raises:
            NotReady: no stack was ever started here.
        """
        ports = self.ports()
        if ports is None:
            raise NotReady(
                f"there is no local stack in {self.root}.", remedy="start one with `reclens up`."
            )
        return ClientSettings(
            redis=redis_settings(ports["redis"]),
            s3=s3_settings(ports["s3"], self.s3_identity),
            client=GatewayTarget(target=f"{LOOPBACK}:{ports['gateway']}"),
            cache_dir=self.root / "cache",
        )

    def endpoints(self) -> dict[str, str]:
        """Addresses, without secrets.

        Raises:
            NotReady: no stack was ever started here.
        """
        settings, ports = self.settings(), self.ports() or {}
        return {
            "redis": settings.redis.url.get_secret_value(),
            "s3": f"http://{settings.s3.endpoint}",
            "gateway": settings.client.target,
            "inference": f"{LOOPBACK}:{ports['inference']}",
        }

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, secrets included.

        Raises:
            NotReady: no stack was ever started here.
        """
        settings = self.settings()
        return {
            "RECLENS_REDIS__URL": settings.redis.url.get_secret_value(),
            "RECLENS_S3__ENDPOINT": settings.s3.endpoint,
            "RECLENS_S3__ACCESS_KEY": settings.s3.access_key.get_secret_value(),
            "RECLENS_S3__SECRET_KEY": settings.s3.secret_key.get_secret_value(),
            "RECLENS_S3__BUCKET": settings.s3.bucket,
            "RECLENS_CLIENT__TARGET": settings.client.target,
            "RECLENS_CACHE_DIR": str(settings.cache_dir),
        }

    def publish(self) -> dict[str, str]:
        """Write ``endpoints.json``, and ``env`` for shells, which only the owner may read."""
        lines = [f"export {key}={shlex.quote(value)}" for key, value in self.environment().items()]
        write_atomically(self.environment_file, "\n".join(lines) + "\n")
        endpoints = self.endpoints()
        write_atomically(self.endpoints_file, json.dumps(endpoints, indent=2) + "\n", mode=0o644)
        return endpoints

    def unpublish(self) -> None:
        """Remove what says that a stack runs here. Data, credentials and ports stay."""
        self.endpoints_file.unlink(missing_ok=True)
        self.environment_file.unlink(missing_ok=True)
