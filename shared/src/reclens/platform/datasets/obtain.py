"""Obtains a published data set: from a folder of one's own, the cache, or where it is published."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from reclens.contracts.datasets import DATASETS, Origin
from reclens.data import published_source
from reclens.errors import MissingData, RecLensError, Unavailable
from reclens.platform.datasets.downloads import fetch
from reclens.platform.settings.models import data_setting

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
        scratch = Path(tempfile.mkdtemp(prefix=".obtaining-", dir=folder.parent))
    except OSError as error:
        raise Unavailable(f"{folder.parent} cannot be written to ({error})") from error
    try:
        checksums: dict[str, str] = {}
        for name, content in files.items():
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
    except OSError as error:
        raise Unavailable(f"it could not be kept in {folder} ({error})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
