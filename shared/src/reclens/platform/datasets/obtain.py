"""Obtains a built-in data set: from a folder of one's own, the cache, or where it is published."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from reclens.data import built_in_source
from reclens.data.built_in import LAYOUTS
from reclens.errors import MissingData, RecLensError, Unavailable
from reclens.platform.datasets.origins import ORIGINS, Origin
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
    """Find or download a built-in data set.

    Args:
        name: one of the built-in data sets.
        cache_dir: downloads are kept here, with checksums that are verified at every use.
        local: folder with the files; given, nothing else is tried.
        timeout_seconds: limit for each download.

    Raises:
        MissingData: ``local`` lacks a file, or no download worked; the message tells what is
            missing, or what happened at each place.
    """
    if local is not None:
        return _local(name, local)
    origins = ORIGINS[name]
    for origin in origins:
        folder = _cache_folder(cache_dir, name, origin)
        if _is_intact(folder):
            return Obtained(folder, origin.name)
    failures: list[str] = []
    for origin in origins:
        folder = _cache_folder(cache_dir, name, origin)
        try:
            _keep(origin.fetch(timeout_seconds), folder)
        except RecLensError as error:
            failures.append(f"{origin.name}: {error.message}")
            continue
        return Obtained(folder, origin.name)
    setting, files = data_setting(name), LAYOUTS[name][0].files
    raise MissingData(
        f"{name} could not be obtained. {'; '.join(failures)}.",
        field=f"data.{name.replace('-', '_')}",
        remedy=f"get {', '.join(files)} from {origins[-1].name}, put them into one folder, and set "
        f"{setting} to it.",
    )


def _local(name: str, folder: Path) -> Obtained:
    try:
        built_in_source(name, folder)
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
    return cache_dir / f"{name}-{hashlib.sha256(origin.version.encode()).hexdigest()[:12]}"


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
