"""Bytes of a file to UTF-8: packed files, byte order marks, encodings; damage that is in the text.

In this order: the encoding that the specification sets; a byte order mark; UTF-8, strictly; the
encoding that the format's publisher uses. Anything else is refused: no encoding is guessed.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Final

from reclens.data.sources.findings import Reading
from reclens.errors import MalformedData, MissingData

_MARKS: Final = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""Byte order marks; longer ones first where one begins with another."""
_GZIP: Final = b"\x1f\x8b"
_ARCHIVES: Final = {
    b"PK\x03\x04": "ZIP",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf": "7z",
}
_PACKED_RATIO: Final = 200
_PACKED_FREELY: Final = 1 << 28
"""Bytes that a file may unpack to, whatever its size; beyond them 200 times its size."""
_BLOCK: Final = 1 << 24
_WINDOWS: Final = re.compile(rb"[\x80-\x9f]")

_CP1252: Final = {bytes([n]).decode("cp1252", "replace"): n for n in range(0x80, 0xA0)}
_CONTINUATION: Final = "\x80-\xbf" + "".join(char for char in _CP1252 if char != "\ufffd")
DAMAGED: Final = f"[\xc2-\xf4][{_CONTINUATION}]|\ufffd"
"""Pattern of text that may have been decoded wrongly before it was saved."""


def read_bytes(path: Path) -> bytes:
    """Bytes of a file that must be there, unpacked where it is packed with gzip.

    Raises:
        MissingData: it is not, or may not be read.
        MalformedData: it is another archive, is damaged, or unpacks to too much.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MissingData(
            f"{path} cannot be read ({error.strerror or error}).",
            field="path",
            remedy="give the path of a file that the process may read.",
        ) from error
    for mark, kind in _ARCHIVES.items():
        if data.startswith(mark):
            raise MalformedData(
                f"{path.name} is packed ({kind}).",
                field=path.name,
                remedy="unpack it, and give the file that is in it; gzip alone is unpacked here.",
            )
    return _unpacked(data, path.name) if data.startswith(_GZIP) else data


def _unpacked(data: bytes, file: str) -> bytes:
    limit = max(_PACKED_FREELY, _PACKED_RATIO * len(data))
    parts: list[bytes] = []
    size, rest = 0, data
    try:
        while rest:  # a file may have several members, one after the other
            member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            while not member.eof:
                part = member.decompress(rest, _BLOCK)
                rest = member.unconsumed_tail
                size += len(part)
                if size > limit:
                    raise MalformedData(
                        f"{file} unpacks to more than {limit:,} bytes.",
                        field=file,
                        remedy="unpack it, if it is what it should be, and give the file.",
                    )
                if not part and not rest and not member.eof:
                    raise zlib.error("it ends early")
                parts.append(part)
            rest = member.unused_data.lstrip(b"\0")  # padding
    except zlib.error:
        raise MalformedData(
            f"{file} is damaged, or cut off: it cannot be unpacked.",
            field=file,
            remedy="bring the file again, and compare its checksum.",
        ) from None
    return b"".join(parts)


def to_utf8(data: bytes, file: str, reading: Reading, *, published: str | None = None) -> bytes:
    """The text of a file in UTF-8, without a byte order mark.

    Args:
        data: the file, unpacked.
        file: its name, for messages.
        reading: whose specification may set the encoding.
        published: encoding of the format's publisher, of files that are not in UTF-8.

    Raises:
        MalformedData: the file is empty, is not in the encoding, or has a NUL.
    """
    marked = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    if (encoding := reading.columns.encoding) is not None:
        text = _decoded(data, file, encoding).removeprefix("\ufeff").encode()
    elif marked:
        encoding = _MARKS[marked]
        text = _decoded(data, file, encoding).encode()
        if encoding != "utf-8-sig":
            _tell(reading, file, text, encoding.upper(), "a mark at its beginning says so")
    elif data.isascii() or _is_utf8(data):
        text = data
    elif published is not None:
        if published == "latin-1" and _WINDOWS.search(data):
            published = "windows-1252"  # the same, with letters where Latin-1 has control codes
        text = _decoded(data, file, published).encode()
        _tell(reading, file, text, published, "it is not UTF-8, and its publisher uses that")
    else:
        text = _decoded(data, file, "utf-8").encode()
    if not text.strip():
        raise MalformedData(f"{file} is empty.", field=file, remedy="give a file with rows.")
    if (place := text.find(b"\0")) >= 0:
        raise MalformedData(
            f"{file}, line {_line(text, place)}: a NUL byte.",
            field=file,
            remedy="set source.columns.encoding, e.g. to utf-16-le, if that is what it is; "
            "else write the file again, as text.",
        )
    return text


def misread(text: str) -> str:
    """What ``text`` was before its UTF-8 was taken for Windows-1252; empty where it was not."""
    try:
        before = bytes(_CP1252.get(char, ord(char)) for char in text).decode()
    except ValueError:
        return ""
    return "" if before == text else before


# --- below ---------------------------------------------------------------------------------------


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(data: bytes, file: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise MalformedData(
            f"{file}, line {_line(data, error.start)}: not {encoding} text.",
            field=file,
            remedy="save the file as UTF-8, or set source.columns.encoding, e.g. to windows-1252.",
        ) from None


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def _tell(reading: Reading, file: str, text: bytes, encoding: str, why: str) -> None:
    lines = [n for n, line in enumerate(text.split(b"\n"), start=1) if not line.isascii()]
    reading.tell(
        "encoding",
        "note",
        len(lines),
        f"the file is read as {encoding}: {why}. Lines that are not ASCII are counted.",
        file=file,
        line=lines[0] if lines else 0,
        remedy="set source.columns.encoding if it is another.",
    )
