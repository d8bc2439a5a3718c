"""Every published data set, from hand-written files in its publisher's layout to its tables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import pytest

from reclens.contracts import DatasetSpec, Progress
from reclens.contracts.datasets import DATASETS
from reclens.data import Dataset, Split, prepare, published_source, read_dataset
from reclens.errors import InvalidInput, MissingData
from reclens.platform.settings.models import DataSettings, WorkerSettings, data_setting
from reclens_recommender.stages import dataset as stage

_DAY = 86_400
_CSV_HEAD = "user_id\titem_id\ttime"
_FILES: dict[str, dict[str, str]] = {
    "ml-100k": {
        "u.data": "1\t7\t5\t10\n1\t8\t3\t20\n1\t9\t4\t30\n2\t7\t1\t5\n",
        "u.item": "".join(
            f"{item}|{title}|01-Jan-1995||{'|' + '|'.join(genres)}\n"
            for item, title, genres in (
                ("7", "Heat (1995)", ["0"] * 6 + ["1"] + ["0"] * 12),
                ("8", "Net, The (1995)", ["0"] * 19),
                ("9", "unknown", ["1"] + ["0"] * 18),
            )
        ),
        "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    },
    "ml-1m": {
        # Six users rate five films 5 stars over 100 days; a seventh does not like them.
        "ratings.dat": "".join(
            f"{user}::{film}::5::{_DAY * (20 * film - 19) + user}\n"
            for user in range(1, 7)
            for film in range(1, 6)
        )
        + f"1::6::5::{_DAY * 500}\n7::1::3::{_DAY}\n",
        "movies.dat": "1::Toy Story (1995)::Animation|Comedy\n6::Rare (1990)::Drama\n",
        "users.dat": "1::F::1::10::48067\n",
    },
    "grocery": {
        "train.csv": f"{_CSV_HEAD}\n1\t10\t300\n1\t11\t100\n1\t12\t200\n",
        "item_meta.csv": "item_id\ti_category\tr_complement\n10\t3\t[11]\n11\t4\t[]\n12\t3\t[]\n",
        "dev.csv": f"{_CSV_HEAD}\tneg_items\n1\t12\t400\t[10]\n",
    },
    "yelp": {
        "Yelp.txt": "1 2 1 2 3\n2 3 1\n",
        "Yelp.item.json": '{"0": {"title": "Great Greek", "description": "Diners, Greek"},'
        '"1": {"title": "Sal", "description": "Pizza"},'
        '"2": {"title": "Ice", "description": "Food"}}',
    },
    "lastfm-2k": {
        "user_artists.dat": "userID\tartistID\tweight\r\n"
        + "".join(f"{user}\t{artist}\t{user}{artist}\r\n" for user in "23456" for artist in "12345")
        + "2\t9\t1\r\n",
        "artists.dat": "id\tname\turl\tpictureURL\n"
        + "".join(f"{artist}\tBand {artist}\t\t\n" for artist in "123459"),
        "tags.dat": "tagID\ttagValue\r\n13\tchillout\r\n15\tdowntempo\r\n",
        "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\r\n"
        "2\t1\t15\t1\t4\t2009\r\n3\t1\t13\t1\t4\t2009\r\n2\t1\t13\t1\t4\t2009\r\n",
    },
}


def _write(name: str, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for file, text in _FILES[name].items():
        (folder / file).write_bytes(text.encode("latin-1"))
    return folder


class FolderJob:
    """Keeps what the stage adds in a folder."""

    def __init__(self, root: Path, settings: WorkerSettings) -> None:
        self.folder = root / "scratch"
        self.objects = root / "objects"
        self.settings = settings
        self.published: list[Progress] = []
        self.folder.mkdir()
        self.objects.mkdir()

    def add(self, path: Path) -> None:
        (self.objects / path.name).write_bytes(path.read_bytes())

    def progress(self, progress: Progress) -> None:
        self.published.append(progress)

    def drive(self, trainer: Any) -> None:
        for progress in trainer.steps():
            self.progress(progress)


def _import(name: str, tmp_path: Path) -> tuple[Dataset, dict[str, Any]]:
    folder = _write(name, tmp_path / "data")
    data = DataSettings.model_validate({name.replace("-", "_"): folder})
    job = FolderJob(tmp_path, WorkerSettings(cache_dir=tmp_path / "cache", data=data))
    metrics = stage.run(DatasetSpec(name=name), cast(Any, job))
    stages = dict.fromkeys(progress.stage for progress in job.published)
    assert list(stages) == ["obtain", "prepare", "write"]
    return read_dataset(job.objects), metrics


def _tags(dataset: Dataset) -> dict[str, list[str]]:
    return dict(zip(dataset.items.ids, dataset.items.tags, strict=True))


def _ids(dataset: Dataset, user: str, *splits: Split) -> list[str]:
    history = dataset.history(dataset.users.index_of(user), splits or tuple(Split))
    return [dataset.items.ids[item] for item in history]


def test_every_published_data_set_has_everything():
    assert set(_FILES) == set(DATASETS.names())
    for name in _FILES:
        assert DataSettings().folder(name) is None
        assert data_setting(name) == f"RECLENS_DATA__{name.upper().replace('-', '_')}"


def test_a_root_that_may_not_be_entered_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # Whoever runs this may be root, whom no mode keeps out.
    monkeypatch.setattr(Path, "is_dir", lambda _: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(MissingData, match=f"{tmp_path} cannot be entered") as caught:
        DataSettings(root=tmp_path).folder("ml-100k")
    assert caught.value.field == "RECLENS_DATA__ROOT"


def test_ml_100k(tmp_path: Path):
    dataset, metrics = _import("ml-100k", tmp_path)
    assert _tags(dataset) == {"7": ["Crime"], "8": [], "9": []}
    assert dataset.items.titles == ["Heat", "The Net", ""]
    assert _ids(dataset, "1", Split.TEST) == ["9"]
    assert dataset.users.attributes[1]["gender"] == "F"
    assert (metrics["users"], metrics["interactions"], metrics["source"]) == (2, 4, "local")


def test_ml_1m_keeps_liked_films_and_divides_the_days(tmp_path: Path):
    dataset, metrics = _import("ml-1m", tmp_path)
    # Film 6 has one rating and user 7 gave 3 stars; films 1 to 5 lie on days 0, 20, ..., 80:
    # train ends with day 64, valid with day 72.
    assert (metrics["users"], metrics["items"], metrics["interactions"]) == (6, 5, 30)
    assert (metrics["train"], metrics["valid"], metrics["test"]) == (24, 0, 6)
    assert _ids(dataset, "3", Split.TRAIN) == ["1", "2", "3", "4"]
    assert _ids(dataset, "3", Split.TEST) == ["5"]
    assert _tags(dataset)["1"] == ["Animation", "Comedy"]


def test_grocery_is_the_training_part_in_order_of_time(tmp_path: Path):
    dataset, metrics = _import("grocery", tmp_path)
    assert _ids(dataset, "1") == ["11", "12", "10"]  # dev.csv is not part of it
    assert _ids(dataset, "1", Split.TEST) == ["10"]
    assert _tags(dataset) == {"10": ["category 3"], "11": ["category 4"], "12": ["category 3"]}
    train = _FILES["grocery"]["train.csv"].encode()
    assert metrics["files"]["train.csv"] == hashlib.sha256(train).hexdigest()
    assert set(metrics["files"]) == {"train.csv", "item_meta.csv"}


def test_yelp(tmp_path: Path):
    dataset, metrics = _import("yelp", tmp_path)
    assert _ids(dataset, "1") == ["2", "1", "2", "3"]
    assert _ids(dataset, "1", Split.VALID, Split.TEST) == ["2", "3"]
    assert _ids(dataset, "2", Split.TRAIN) == ["3", "1"]
    assert dataset.items.titles == ["Great Greek", "Sal", "Ice"]
    assert _tags(dataset)["1"] == ["Diners", "Greek"]
    assert (metrics["users"], metrics["items"], metrics["interactions"]) == (2, 3, 6)


def test_lastfm_keeps_plays_and_who_tagged(tmp_path: Path):
    dataset, metrics = _import("lastfm-2k", tmp_path)
    assert (metrics["users"], metrics["items"], metrics["interactions"]) == (5, 5, 25)
    assert (metrics["valid"], metrics["test"]) == (5, 5)  # one each of every user's five
    assert dataset.interactions.rating is not None
    assert dataset.interactions.rating[:2].tolist() == [21, 22]
    assert _tags(dataset)["1"] == ["chillout", "downtempo"]
    assert dataset.items.tag_users == [{"chillout": 2, "downtempo": 1}, {}, {}, {}, {}]


@pytest.mark.parametrize("name", sorted(set(_FILES) - {"ml-100k"}))
def test_a_folder_that_lacks_a_file_is_refused_by_the_file(name: str, tmp_path: Path):
    folder = _write(name, tmp_path / "data")
    last = DATASETS.load(name).layouts[0].files[-1]
    (folder / last).unlink()
    with pytest.raises(MissingData, match=rf"not a folder with {name}: it lacks {last}"):
        published_source(name, folder)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("yelp", "global-time", "knows the order of each user's interactions alone"),
        ("lastfm-2k", "leave-one-out", "knows no order"),
        ("lastfm-2k", "global-time", "knows no order"),
    ],
)
def test_a_split_by_an_order_that_is_not_there_is_refused(
    name: str, kind: str, said: str, tmp_path: Path
):
    spec = DatasetSpec.parse({"name": name, "split": {"kind": kind}})
    with pytest.raises(InvalidInput, match=said) as caught:
        prepare(spec, _write(name, tmp_path / "data"))
    assert caught.value.field == "split.kind"


def test_a_file_that_is_swapped_after_it_was_let_pass_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows, titles = folder / "interactions.csv", tmp_path / "data" / "titles.csv"
    text = "user_id,item_id,timestamp\n"
    rows.write_text(text + "".join(f"u{n % 3},i{n % 4},{n}\n" for n in range(12)))
    titles.write_text("item_id,title,tags\n" + "".join(f"i{n},Film {n},a\n" for n in range(4)))
    secret = tmp_path / "secret.csv"
    secret.write_text(f"{text}secret,secret,1\n")

    def swap(_source: object) -> None:
        for path in (rows, titles):
            path.unlink()
            path.symlink_to(secret)

    monkeypatch.setattr(stage, "verify_checksums", swap)
    source = {"format": "table", "path": str(rows), "items_path": str(titles)}
    spec = DatasetSpec.parse({"name": "own", "source": source, "k_core": 1})
    settings = WorkerSettings(data=DataSettings.model_validate({"roots": str(folder)}))
    job = FolderJob(tmp_path, settings)
    metrics = stage.run(spec, cast(Any, job))
    assert sorted(metrics["files"]) == ["interactions.csv", "titles.csv"]
    dataset = read_dataset(job.objects)
    assert (dataset.users.ids, dataset.items.titles[0]) == (["u0", "u1", "u2"], "Film 0")
