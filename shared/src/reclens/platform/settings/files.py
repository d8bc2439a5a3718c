"""Settings from files: one file a value, named as the environment variable, e.g.
``RECLENS_S3__SECRET_KEY``, as Docker and Kubernetes mount secrets.

The folder is named by ``RECLENS_SECRETS_DIR``. White space around a value, as editors and ``echo``
leave it, is no part of it. Empty files, other files and hidden ones (Kubernetes' ``..data``) are
passed over. What a variable says wins over a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic_settings import NestedSecretsSettingsSource, PydanticBaseSettingsSource

from reclens.errors import MissingData

SECRETS_VARIABLE: Final = "RECLENS_SECRETS_DIR"
"""Environment variable with the folder; not set or empty: no files are read."""


STATE_DIR_VARIABLE: Final = "RECLENS_STATE_DIR"
"""Environment variable with the folder of a local stack, credentials included."""


def secrets_folder() -> Path | None:
    """The folder of files with settings; None where none is named.

    Raises:
        MissingData: one is named that does not exist, is no folder, or cannot be read.
    """
    named = os.environ.get(SECRETS_VARIABLE, "").strip()
    if not named:
        return None
    folder = Path(named)
    problem = ""
    try:
        if not folder.is_dir():
            problem = "is no folder" if folder.exists() else "does not exist"
        elif not os.access(folder, os.R_OK | os.X_OK):
            problem = f"cannot be read by user {os.geteuid()}"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    if problem:
        raise MissingData(
            f"{folder} {problem}.",
            field=SECRETS_VARIABLE,
            remedy="mount the part's credentials there, or unset it and give the settings as "
            "environment variables.",
        )
    return folder


def setting_names() -> set[str]:
    """Names of all settings that are given, by variable or by file, in capitals."""
    folder = secrets_folder()
    files = SecretFiles.load_secrets(folder.resolve()) if folder else {}
    given = {name for name, value in os.environ.items() if value} | set(files)
    return {name.upper() for name in given}


class SecretFiles(NestedSecretsSettingsSource):
    """The source for pydantic-settings.

    Raises:
        MissingData: the folder does not exist, or a file in it cannot be read.
    """

    def __init__(self, given: PydanticBaseSettingsSource) -> None:
        super().__init__(given, secrets_dir=secrets_folder())

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        """Values by file name; files that are empty say nothing."""
        try:
            found = super().load_secrets(path)
        except (OSError, UnicodeDecodeError) as error:
            file = getattr(error, "filename", None) or path
            why = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
            raise MissingData(
                f"{file} cannot be read ({why}).",
                field=SECRETS_VARIABLE,
                remedy=f"let user {os.geteuid()} read it; `reclens deploy credentials` sets modes "
                "anew.",
            ) from error
        return {name: value for name, value in found.items() if value}
