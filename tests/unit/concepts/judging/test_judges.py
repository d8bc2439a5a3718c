import numpy as np
import pytest
from scipy import sparse

from reclens.concepts.evidence.item_text import describe_items, item_name, item_names
from reclens.concepts.evidence.keywords import KeywordLabel
from reclens.concepts.evidence.vocabulary import Term, TermKind, Vocabulary
from reclens.concepts.judging.judges import Statement, embedding_scorer, keyword_scorer
from reclens.data.dataset import Items

VECTORS = {"noir": [1.0, 0.0], "Laura (1944): Film-Noir.": [0.6, 0.8], "Babe.": [0.0, 1.0]}


def test_the_keyword_reader_adds_up_inverse_frequencies():
    terms = [Term(TermKind.TAG, "A"), Term(TermKind.TAG, "B")]
    carried = sparse.csr_matrix(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    score = keyword_scorer(Vocabulary(terms, carried), np.array([2.0, 3.0]))
    scores = score(Statement("A or B", KeywordLabel(terms=(0, 1))))
    assert scores is not None
    assert scores.tolist() == [2.0, 5.0, 0.0]
    assert score(Statement("in a model's own words")) is None


def test_the_embedding_reader_gives_cosines_and_embeds_a_label_once():
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return np.array([VECTORS[text] for text in texts])

    score = embedding_scorer(embed, ["Laura (1944): Film-Noir.", "Babe."])
    for _ in range(2):
        scores = score(Statement("noir"))
        assert scores is not None
        assert scores.tolist() == pytest.approx([0.6, 0.0])
    assert asked.count("noir") == 1


def test_an_item_is_described_by_what_is_known_of_it():
    items = Items(
        ids=["i1", "i2", "i3", "i4"],
        titles=["Laura", "", "Bad\x1b[31m\ntitle", "Babe"],
        tags=[["Film-Noir", "Mystery"], [], [], ["Children's"]],
        years=[1944, None, None, 1995],
        popularity=np.array([2, 20, 20, 20], np.int32),
    )
    assert describe_items(items) == [
        "Laura (1944): Film-Noir, Mystery. Little known.",
        "i2",
        "Bad[31m title",
        "Babe (1995): Children's",
    ]


def test_an_item_without_a_title_that_can_be_read_is_called_by_its_id() -> None:
    items = Items(
        ids=["a", "b", "c\n1"],
        titles=["Heat\u202e", "", " \t"],
        tags=[[], [], []],
        years=[None, None, None],
        popularity=np.ones(3, np.int32),
    )
    assert item_names(items) == ["Heat", "b", "c 1"]
    assert item_name(items, 2) == "c 1"
