"""Policies in files: YAML or JSON, in the form of the API, as ``policies show --json`` prints."""

from __future__ import annotations

from pathlib import Path

import yaml
from google.protobuf.json_format import ParseDict, ParseError

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, MissingData


def read_policy(path: Path) -> pb.Policy:
    """The policy in a file.

    Raises:
        MissingData: there is no such file.
        InvalidInput: it is not YAML or JSON, or no policy.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise MissingData(
            f"cannot read {path} ({error.strerror}).", field="file", remedy="correct the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}.",
            field="file",
            remedy="see docs/how-to/policies.md.",
        ) from error
    if not isinstance(document, dict):
        raise InvalidInput(
            f"{path} holds no policy.", field="file", remedy="see docs/how-to/policies.md."
        )
    try:
        return ParseDict(document, pb.Policy())
    except (ParseError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"{path} holds no policy: {' '.join(str(error).split())}.",
            field="file",
            remedy="see docs/how-to/policies.md.",
        ) from error
