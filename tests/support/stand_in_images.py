"""What a machine lacks that reaches no image registry, or not PyTorch's own package index.

Where they can be reached, images are pulled and built as everywhere, and nothing here happens.
"""

from __future__ import annotations

import functools
import http.server
import ipaddress
import json
import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from composed_figures import figures
from composed_system import ROOT, CommandFailed, System, run

_SCRIPT = ROOT / "tests" / "compose" / "make_stand_in_images.sh"
_PULL_SECONDS = 600
_UNREACHABLE = re.compile(r"no such host|dial tcp|i/o timeout|connection refused|TLS handshake")
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_WHEELS = Path("/var/tmp/reclens-stand-ins/index")


def base_images(system: System) -> None:
    """Have every image that is not built here: pull it, or else make what stands in for it.

    Raises:
        CommandFailed: neither works.
    """
    services = json.loads(system.compose("config", "--format", "json"))["services"].values()
    wanted = {
        service["image"] for service in services if not service["image"].startswith("reclens/")
    }
    builds = [service["build"] for service in services if "build" in service]
    wanted |= {build["args"]["PYTHON_IMAGE"] for build in builds}
    for image in sorted(wanted):
        have_image(image)


def have_image(image: str) -> None:
    """Have one image.

    Raises:
        CommandFailed: it can be neither pulled nor stood in for.
    """
    if not run("docker", "images", "--quiet", image).strip():
        try:
            run("docker", "pull", "--quiet", image, seconds=_PULL_SECONDS)
        except CommandFailed as error:
            # A tag that its registry does not know is a fault of ours.
            if not _UNREACHABLE.search(str(error)):
                raise
            environment = {"RECLENS_PACKAGE_HOST": _host()}
            run(str(_SCRIPT), image, environment=environment, seconds=_PULL_SECONDS)
    (found,) = json.loads(run("docker", "image", "inspect", image))
    if "org.reclens.stand-in" in (found["Config"]["Labels"] or {}):
        figures.setdefault("stand-ins", {})[image] = "for want of a registry"


@contextmanager
def package_index() -> Iterator[dict[str, str]]:
    """Compose variables that say where builds find PyTorch: none where its index answers.

    Else pip fetches the wheel as it is configured here, and it is served to builds over HTTP.
    """
    try:
        with urllib.request.urlopen(f"{_TORCH_INDEX}/torch/", timeout=10):
            pass
        yield {}
        return
    except OSError as error:
        figures.setdefault("stand-ins", {})[_TORCH_INDEX] = type(error).__name__
    folder = _WHEELS / "torch"
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    run(*pip, "-r", str(ROOT / "locks" / "torch.txt"), seconds=_PULL_SECONDS)
    host = _host()
    handler = functools.partial(_Quiet, directory=str(_WHEELS))
    with http.server.ThreadingHTTPServer((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield {"TORCH_INDEX": f"http://{host}:{server.server_port}"}
        finally:
            server.shutdown()


def _host() -> str:
    """This machine as containers see it while images are built."""
    bridge = json.loads(run("docker", "network", "inspect", "bridge"))[0]
    return str(ipaddress.ip_network(bridge["IPAM"]["Config"][0]["Subnet"])[1])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing of requests."""
