"""Where each built-in data set is published, and the checksum of what is published there.

None of them may be redistributed, so RecLens has no copy; the licences are in
docs/how-to/datasets.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reclens.platform.datasets.downloads import Checksum, download_url, download_wheel, zip_members


class Origin(Protocol):
    """A place to download a data set from."""

    @property
    def name(self) -> str:
        """Address or package, for messages and for the manifest."""
        ...

    @property
    def version(self) -> str:
        """Changes with the bytes that are expected."""
        ...

    def fetch(self, timeout_seconds: float) -> dict[str, bytes]:
        """Content of the data set's files by name.

        Raises:
            Unavailable: not all of them could be had; the message says why.
        """
        ...


@dataclass(frozen=True)
class ZipArchive:
    """Files of one folder in a zip."""

    url: str
    checksum: Checksum
    folder: str
    """Within the archive; empty for its top."""
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.url

    @property
    def version(self) -> str:
        return self.checksum.digest

    def fetch(self, timeout_seconds: float) -> dict[str, bytes]:
        data = download_url(self.url, self.checksum, timeout_seconds=timeout_seconds)
        return zip_members(data, self.folder, self.files)


@dataclass(frozen=True)
class Wheel:
    """Files that a Python package has as an example."""

    requirement: str
    checksum: Checksum
    folder: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"pypi:{self.requirement}"

    @property
    def version(self) -> str:
        return self.checksum.digest

    def fetch(self, timeout_seconds: float) -> dict[str, bytes]:
        data = download_wheel(self.requirement, self.checksum, timeout_seconds=timeout_seconds)
        return zip_members(data, self.folder, self.files)


@dataclass(frozen=True)
class PublishedFile:
    """One file at an address of its own."""

    name: str
    url: str
    checksum: Checksum


@dataclass(frozen=True)
class PublishedFiles:
    """Files that are published one by one, perhaps at different places."""

    files: tuple[PublishedFile, ...]

    @property
    def name(self) -> str:
        return " and ".join(file.url for file in self.files)

    @property
    def version(self) -> str:
        return "".join(file.checksum.digest[:6] for file in self.files)

    def fetch(self, timeout_seconds: float) -> dict[str, bytes]:
        return {
            file.name: download_url(file.url, file.checksum, timeout_seconds=timeout_seconds)
            for file in self.files
        }


_GROUPLENS = "https://files.grouplens.org/datasets"
# Addresses on GitHub name a commit, so what they answer cannot change.
_RECHORUS = (
    "https://raw.githubusercontent.com/THUwangcy/ReChorus/e58d752558634d42be60de561d6f74df748583cc/"
    "data/Grocery_and_Gourmet_Food"
)
_S3REC = (
    "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/"
    "2a81540ae18615d88ef88227b0c066e5b74781e5/data"
)
_LETTER = (
    "https://raw.githubusercontent.com/HonghuiBao2000/LETTER/"
    "8d0154e28de37dbb6e24871c508ad8ddb1921cda/data/Yelp"
)

ORIGINS: dict[str, tuple[Origin, ...]] = {
    "ml-100k": (
        Wheel(
            "recbole==1.2.1",
            Checksum("sha256", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"),
            "recbole/dataset_example/ml-100k",
            ("ml-100k.inter", "ml-100k.item", "ml-100k.user"),
        ),
        ZipArchive(
            f"{_GROUPLENS}/movielens/ml-100k.zip",
            Checksum("md5", "0e33842e24a9c977be4e0107933c0723"),
            "ml-100k",
            ("u.data", "u.item", "u.user"),
        ),
    ),
    "ml-1m": (
        ZipArchive(
            f"{_GROUPLENS}/movielens/ml-1m.zip",
            Checksum("md5", "c4d9eecfca2ab87c1945afe126590906"),
            "ml-1m",
            ("ratings.dat", "movies.dat", "users.dat"),
        ),
    ),
    "grocery": (
        PublishedFiles(
            (
                PublishedFile(
                    "train.csv",
                    f"{_RECHORUS}/train.csv",
                    Checksum(
                        "sha256", "75847958fbcfec35dd0a20bda43432c22a5d7e5b5fe571fef0b25ff580b475f4"
                    ),
                ),
                PublishedFile(
                    "item_meta.csv",
                    f"{_RECHORUS}/item_meta.csv",
                    Checksum(
                        "sha256", "35a7d55fb7024b3cf7937cbc424762bc1cb5ef1f41d49f5955011effcebf144c"
                    ),
                ),
            )
        ),
    ),
    "yelp": (
        PublishedFiles(
            (
                PublishedFile(
                    "Yelp.txt",
                    f"{_S3REC}/Yelp.txt",
                    Checksum(
                        "sha256", "724b219106b81dd2349027da997334ddb6da9fe2f152ad6e0d97a93170f7caed"
                    ),
                ),
                PublishedFile(
                    "Yelp.item.json",
                    f"{_LETTER}/Yelp.item.json",
                    Checksum(
                        "sha256", "8f58a9d54111fc10ccd675f99e6f2afe988cd0ee70b40f1e37d04f9aea764c2d"
                    ),
                ),
            )
        ),
    ),
    "lastfm-2k": (
        ZipArchive(
            f"{_GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
            Checksum("sha256", "6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c"),
            "",
            ("user_artists.dat", "artists.dat", "tags.dat", "user_taggedartists.dat"),
        ),
    ),
}
"""By the name of the data set, in the order in which they are tried."""
