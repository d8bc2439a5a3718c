"""MovieLens' two layouts, on files of a few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from reclens.contracts import ColumnNames
from reclens.data.readers.movielens import locate, read
from reclens.data.sources import ItemText, RawData
from reclens.data.sources.raw import hold_out_taggers
from reclens.errors import MalformedData, MissingData

# Order of the publisher's README: unknown, Action, Adventure, Animation, Children's, Comedy, Crime,
# Documentary, Drama, Fantasy, Film-Noir, Horror, Musical, Mystery, Romance, Sci-Fi, Thriller, War,
# Western.
_TOY_STORY = "1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
_GODFATHER = "2|Godfather, The (1972)|01-Jan-1972||http://x|0|1|0|0|0|0|1|0|1|0|0|0|0|0|0|0|0|0|0"
_PLACEHOLDER = "3|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0"
_NO_YEAR = "4|Cérémonie, La|01-Mar-1996||http://x|0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|1"


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(text.encode("latin-1"))
    return folder


def _read(path: Path) -> RawData:
    return read(locate(path), ColumnNames())


def test_100k_is_read_from_its_folder_or_its_file(tmp_path: Path):
    _write(
        tmp_path,
        u_data="196\t2\t3\t881250949\n186\t1\t5\t891717742\n",
        u_item="\n".join([_TOY_STORY, _GODFATHER, _PLACEHOLDER, _NO_YEAR]) + "\n",
        u_user="196|49|M|writer|55105\n186|39|F|executive|00000\n",
    )
    for path in (tmp_path, tmp_path / "u.data"):
        raw = _read(path)
        assert raw.user_ids.to_pylist() == ["196", "186"]
        assert raw.item_ids.to_pylist() == ["2", "1"]
        assert raw.timestamps.tolist() == [881250949, 891717742]
        assert raw.ratings is not None
        assert raw.ratings.tolist() == [3, 5]
        assert raw.items == {
            "1": ItemText("Toy Story", ("Animation", "Children's", "Comedy"), 1995),
            "2": ItemText("The Godfather", ("Action", "Crime", "Drama"), 1972),
            "3": ItemText(),
            "4": ItemText("La Cérémonie", ("Drama", "Western"), 1996),
        }
        assert raw.users["186"] == {
            "age": "39",
            "gender": "F",
            "occupation": "executive",
            "zip_code": "00000",
        }


def test_1m_is_read(tmp_path: Path):
    _write(
        tmp_path,
        ratings_dat="1::1193::5::978300760\n2::661::3::978302109\n",
        movies_dat="1193::Exorcist: III, The (1990)::Horror|Thriller\n661::Amélie (2001)::Comedy\n",
        users_dat="1::F::1::10::48067\n2::M::56::16::70072\n",
    )
    raw = _read(tmp_path)
    assert raw.user_ids.to_pylist() == ["1", "2"]
    assert raw.items == {
        "1193": ItemText("The Exorcist: III", ("Horror", "Thriller"), 1990),
        "661": ItemText("Amélie", ("Comedy",), 2001),
    }
    assert raw.users["2"] == {"gender": "M", "age": "56", "occupation": "16", "zip_code": "70072"}


def test_10m_in_utf_8_and_in_latin_1_is_the_same(tmp_path: Path):
    ratings = "1::11::4.5::1100000001\n2::13::0.5::1100000003\n"
    movies = "11::Café des Rêves, Le (1999)::Comedy|Drama\n13::Überall (2004)::(no genres listed)\n"
    found = []
    for encoding in ("utf-8", "latin-1"):
        folder = tmp_path / encoding
        folder.mkdir()
        (folder / "ratings.dat").write_text(ratings)
        (folder / "movies.dat").write_bytes(movies.encode(encoding))
        raw = _read(folder)
        found.append(raw.items)
        codes = [finding.code for finding in raw.findings]
        assert codes == (["encoding"] if encoding == "latin-1" else []) + ["placeholders"]
    assert found[0] == found[1]
    assert found[0] == {
        "11": ItemText("Le Café des Rêves", ("Comedy", "Drama"), 1999),
        "13": ItemText("Überall", (), 2004),
    }


_LATEST = {
    "ratings_csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,3,4.0,964981247\n",
    "movies_csv": 'movieId,title,genres\n1,"Long, Quiet Road, The (1995)",Comedy|Drama\n'
    "3,Night,(no genres listed)\n",
    "tags_csv": "userId,movieId,tag,timestamp\n7,1,pixar,1139045764\n8,1,pixar,1139045765\n"
    "8,1,comedy,1139045766\n9,1,fun,1139045767\n9,3,fun,1139045768\n",
}


def test_latest_is_read_with_the_tags_of_users(tmp_path: Path):
    _write(tmp_path, **_LATEST)
    for path in (tmp_path, tmp_path / "ratings.csv"):
        raw = _read(path)
        assert raw.item_ids.to_pylist() == ["1", "3"]
        road, night = raw.items["1"], raw.items["3"]
        assert (road.title, road.year) == ("The Long, Quiet Road", 1995)
        # Genres first; "comedy" is one of them already.
        assert road.tags == ("Comedy", "Drama", "pixar", "fun")
        assert road.tag_users == {"comedy": 1, "fun": 1, "pixar": 2}
        assert road.taggers["pixar"] == {"7", "8"}
        assert (night.title, night.tags) == ("Night", ("fun",))


def test_genres_stay_where_taggers_are_held_out(tmp_path: Path):
    items = hold_out_taggers(_read(_write(tmp_path, **_LATEST)).items, 0.999)
    assert items["1"].tags == ("Comedy", "Drama")
    assert items["1"].held_out_tag_users == {"comedy": 1, "fun": 1, "pixar": 2}


def test_titles_and_users_are_optional(tmp_path: Path):
    raw = _read(_write(tmp_path, u_data="1\t1\t3\t10\n"))
    assert raw.items == {}
    assert raw.users == {}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("u_data", "1\t1\t3\t10\n1\t2\tfive\t10\n", "u.data, line 2, column 'rating': .*'five'"),
        ("u_data", "1\t1\t3\t10\n1\t2\tnan\t10\n", "u.data, line 2, column 'rating': .*'nan'"),
        ("u_data", "1\t1\t3\tnow\n", "u.data, line 1, column 'timestamp': .*'now'"),
        (
            "u_data",
            "1\t1\t3\t10\n\t2\t3\t10\n",
            "u.data, line 2, column 'userId': the id is empty",
        ),
        ("u_data", "1\t1\t3\n", "u.data, line 1: expected 4 fields, found 3"),
        ("u_item", "1|Heat (1995)\n", "u.item, line 1: expected 24"),
        ("u_item", _TOY_STORY[:-1] + "x\n", "u.item, line 1, column 'Western': neither 0 nor 1"),
        ("u_item", f"{_TOY_STORY}\n{_TOY_STORY}\n", "u.item, line 2, .* comes a second time"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, file: str, text: str, message: str):
    _write(tmp_path, **{"u_data": "1\t1\t3\t10\n", file: text})
    with pytest.raises(MalformedData, match=message):
        _read(tmp_path)


def test_a_folder_without_ratings_is_refused(tmp_path: Path):
    with pytest.raises(MissingData, match=r"(?s)neither u.data nor ratings.dat .*Remedy: unpack"):
        locate(tmp_path)
    with pytest.raises(MissingData, match=r"there is no file or folder .*nowhere"):
        locate(tmp_path / "nowhere")
