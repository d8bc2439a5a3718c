"""Obtains MovieLens-100K: from a folder of one's own, from a PyPI wheel, or from its publisher.

What is downloaded is checked against a published checksum before a byte of it is used, and only
the named files are read out of the archive. The licence of MovieLens (https://grouplens.org/
datasets/movielens/) allows research use and forbids redistribution, so RecLens has no copy.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reclens.data import built_in_format
from reclens.errors import MissingData, RecLensError, Unavailable

_WHEEL = "recbole==1.2.1"
_WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_WHEEL_FOLDER = "recbole/dataset_example/ml-100k"
_WHEEL_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
_ZIP_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_ZIP_MD5 = "0e33842e24a9c977be4e0107933c0723"
_ZIP_FOLDER = "ml-100k"
_ZIP_FILES = ("u.data", "u.item", "u.user")

_MAX_BYTES = 64 << 20  # of an archive and of a file in it; the real ones are below 6 MB
_READ_BYTES = 1 << 16
_CONNECT_SECONDS = 20
_CHECKSUMS = "sha256.json"

_log = logging.getLogger(__name__)


class Obtained(NamedTuple):
    """Where raw files lie and where they came from."""

    folder: Path
    """Folder with the files."""
    origin: str
    """``local``, or the package or address that they were downloaded from."""


@dataclass(frozen=True)
class _Archive:
    """One place to download from."""

    origin: str
    cache_name: str
    folder: str
    files: tuple[str, ...]
    download: Callable[[float], bytes]


def obtain_ml_100k(
    cache_dir: Path, local: Path | None = None, *, timeout_seconds: float = 180
) -> Obtained:
    """Find or download MovieLens-100K.

    Tried in order: ``local``; what an earlier call left in ``cache_dir``; the wheel
    ``recbole==1.2.1``, which has the data as an example; the publisher's archive.

    Args:
        cache_dir: downloads are kept here, with checksums that are verified at every use.
        local: folder in MovieLens' or RecBole's layout.
        timeout_seconds: limit for each download.

    Raises:
        MissingData: nothing worked; the message tells what happened at each place.
    """
    failures: list[str] = []
    if local is not None:
        if built_in_format(local) is not None:
            return Obtained(local, "local")
        failures.append(f"{local}: has neither u.data nor ml-100k.inter")
        _log.warning("no MovieLens-100K in %s, looking elsewhere", local)
    archives = _archives()
    for archive in archives:
        folder = cache_dir / archive.cache_name
        if _is_intact(folder):
            return Obtained(folder, archive.origin)
    for archive in archives:
        try:
            data = archive.download(timeout_seconds)
            folder = cache_dir / archive.cache_name
            _unpack(data, archive, folder)
        except RecLensError as error:
            failures.append(f"{archive.origin}: {error.message}")
            continue
        return Obtained(folder, archive.origin)
    raise MissingData(
        "MovieLens-100K could not be obtained. " + "; ".join(failures) + ".",
        field="data.ml_100k",
        remedy="download ml-100k.zip from https://grouplens.org/datasets/movielens/100k/, unpack "
        "it, and set RECLENS_DATA__ML_100K to its folder.",
    )


def _archives() -> tuple[_Archive, ...]:
    return (
        _Archive(
            f"pypi:{_WHEEL}",
            f"ml-100k-recbole-{_WHEEL_SHA256[:12]}",
            _WHEEL_FOLDER,
            _WHEEL_FILES,
            _download_wheel,
        ),
        _Archive(
            _ZIP_URL, f"ml-100k-grouplens-{_ZIP_MD5[:12]}", _ZIP_FOLDER, _ZIP_FILES, _download_zip
        ),
    )


# --- downloading ---------------------------------------------------------------------------------


def _download_wheel(timeout_seconds: float) -> bytes:
    """Bytes of the wheel. It is neither installed nor imported."""
    with tempfile.TemporaryDirectory(prefix="reclens-wheel-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:"]
        command += ["--timeout", str(_CONNECT_SECONDS), "--retries", "1", "--dest", folder, _WHEEL]
        try:
            # Without a shell; every argument is a constant or our own temporary folder.
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=timeout_seconds
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
        return _verified(wheels[0].read_bytes(), "sha256", _WHEEL_SHA256)


def _download_zip(timeout_seconds: float) -> bytes:
    """Bytes of the publisher's archive."""
    deadline = time.monotonic() + timeout_seconds
    received = io.BytesIO()
    try:
        with urllib.request.urlopen(
            _ZIP_URL, timeout=min(_CONNECT_SECONDS, timeout_seconds)
        ) as answer:
            while chunk := answer.read(_READ_BYTES):
                received.write(chunk)
                if received.tell() > _MAX_BYTES:
                    raise Unavailable(f"more than {_MAX_BYTES >> 20} MiB were sent")
                if time.monotonic() > deadline:
                    raise Unavailable(f"the download took over {timeout_seconds:g} s")
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise Unavailable(f"the download failed ({reason})") from error
    return _verified(received.getvalue(), "md5", _ZIP_MD5)


def _verified(data: bytes, algorithm: str, expected: str) -> bytes:
    digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise Unavailable(f"{algorithm} is {digest} and should be {expected}")
    return data


# --- unpacking and caching -----------------------------------------------------------------------


def _unpack(data: bytes, archive: _Archive, folder: Path) -> None:
    """Put the wanted files into ``folder``, at once and complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".obtaining-", dir=folder.parent))
    try:
        checksums: dict[str, str] = {}
        for name in archive.files:
            # Only names written in this module are opened or created; the archive's are not used.
            content = _member(data, f"{archive.folder}/{name}")
            (scratch / name).write_bytes(content)
            checksums[name] = hashlib.sha256(content).hexdigest()
        (scratch / _CHECKSUMS).write_text(json.dumps(checksums, indent=1, sort_keys=True) + "\n")
        if folder.exists() and not _is_intact(folder):
            shutil.rmtree(folder)
        try:
            scratch.rename(folder)
        except OSError:
            if not _is_intact(folder):  # else: another process was faster, with the same bytes
                raise
    except (OSError, zipfile.BadZipFile) as error:
        raise Unavailable(f"it could not be unpacked to {folder} ({error})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _member(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        try:
            info = archive.getinfo(name)
        except KeyError as error:
            raise Unavailable(f"the archive has no {name}") from error
        if info.file_size > _MAX_BYTES:
            raise Unavailable(f"{name} is larger than {_MAX_BYTES >> 20} MiB")
        return archive.read(info)


def _is_intact(folder: Path) -> bool:
    """Whether all files are there with the checksums they were unpacked with."""
    try:
        checksums: dict[str, str] = json.loads((folder / _CHECKSUMS).read_text())
        return bool(checksums) and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
            for name, digest in checksums.items()
        )
    except (OSError, ValueError):
        return False
