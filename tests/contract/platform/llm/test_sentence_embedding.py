"""The sentence model itself, from its package."""

from __future__ import annotations

import numpy as np
import pytest

from reclens.errors import NotReady
from reclens.platform.llm import sentence_embedding
from reclens.platform.llm.sentence_embedding import SentenceEmbedder

# No label shares a word with its film.
LABELS = ["cowboys and the Wild West", "outer space", "funny love stories", "animated fairy tales"]
FILMS = [
    "Unforgiven: a retired gunslinger takes one last job in Wyoming. Western.",
    "Alien: the crew of a starship meets a creature. Sci-Fi.",
    "When Harry Met Sally: two friends fall for each other. Romantic comedy.",
    "Cinderella: a prince, a glass slipper and singing mice. Cartoon.",
]


@pytest.fixture(scope="module")
def embed() -> SentenceEmbedder:
    return SentenceEmbedder()


def test_every_film_is_likest_to_its_own_label(embed: SentenceEmbedder):
    cosines = embed(FILMS) @ embed(LABELS).T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_vectors_have_length_one_and_do_not_depend_on_company(embed: SentenceEmbedder):
    together = embed(LABELS)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert embed(LABELS[:1])[0] == pytest.approx(together[0], abs=1e-5)


def test_without_its_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    def nothing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(sentence_embedding.importlib, "import_module", nothing)
    with pytest.raises(NotReady, match=r"reclens\[embedding\]"):
        SentenceEmbedder()
