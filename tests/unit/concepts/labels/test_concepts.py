import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reclens.concepts import LatentLabel, group_concepts, read_concepts, write_concepts
from reclens.concepts.evidence.item_text import clean, meaning_of, slug, unique_slugs
from reclens.errors import CorruptArtifact, InvalidInput

ROWS = [
    LatentLabel(
        0,
        concept_id="noir",
        label="Noir",
        confidence=0.7,
        concept_confidence=0.8,
        evidence_items=("a", "b"),
    ),
    LatentLabel(1),
    LatentLabel(
        2,
        concept_id="noir",
        label="Noir",
        description="best",
        confidence=0.9,
        concept_confidence=0.8,
        evidence_items=("b", "c"),
        keywords=("Noir",),
    ),
    LatentLabel(3, concept_id="war", label="War"),
]


def test_latents_with_one_id_form_one_concept():
    noir, war = group_concepts(ROWS)
    assert noir.latents == (2, 0)
    assert noir.weights == pytest.approx((1.0, 0.5))
    assert noir.confidence == 0.8
    assert noir.description == "best"
    assert noir.evidence_items == ("b", "a", "c")
    assert war.confidence is None
    assert war.weights == (1.0,)


def test_a_concept_is_part_of_that_of_its_lowest_latents_parent():
    def row(latent, concept_id, parent):
        return LatentLabel(latent, concept_id=concept_id, label=concept_id, parent=parent)

    rows = [
        row(0, "drama", None),
        row(1, "comedy", None),
        row(2, None, 0),
        row(3, "romance", 1),  # lowest of romance
        row(4, "romance", 0),
        row(5, "war", 2),  # its parent has no concept, the parent's parent has
        row(6, "comedy", 3),  # comedy has latent 1, which is part of nothing
        row(7, "drama", 4),
        row(8, "noir", 7),
        row(9, "lost", 99),
    ]
    parents = {concept.concept_id: concept.parent_id for concept in group_concepts(rows)}
    assert parents == {
        "drama": None,
        "comedy": None,
        "romance": "comedy",
        "war": "drama",
        "noir": "drama",
        "lost": None,
    }


def test_table_is_read_as_it_was_written(tmp_path):
    rows = [replace(ROWS[0], duplicate_group=0), *ROWS[1:3], replace(ROWS[3], parent=2)]
    write_concepts(rows, tmp_path / "concepts.parquet")
    assert read_concepts(tmp_path / "concepts.parquet") == rows


def test_a_table_of_before_copies_and_parents_is_read(tmp_path):
    path = tmp_path / "concepts.parquet"
    write_concepts(ROWS, path)
    pq.write_table(pq.read_table(path).drop_columns(["duplicate_group", "parent"]), path)
    assert read_concepts(path) == ROWS


def test_rows_out_of_order_are_refused(tmp_path):
    with pytest.raises(InvalidInput):
        write_concepts([replace(ROWS[1], latent=5)], tmp_path / "concepts.parquet")


def test_a_table_without_a_column_is_corrupt(tmp_path):
    path = tmp_path / "concepts.parquet"
    write_concepts(ROWS, path)
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    with pytest.raises(CorruptArtifact, match="label"):
        read_concepts(path)


def test_reading_concepts_needs_neither_scikit_learn_nor_torch():
    code = (
        "import sys, reclens.concepts;"
        "sys.exit(any(m in sys.modules for m in ('sklearn', 'scipy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_LONG = "one-item-dr-strangelove-or-how-i-learned-to-stop-worrying-and-l"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Film-Noir · 1940s", "film-noir-1940s"),
        ("Children's", "children-s"),
        ("Sci-Fi 1990s", "sci-fi-1990s"),
        ("“Star Trek”", "star-trek"),
        ("Rock\u2019n\u2019Roll…", "rocknroll"),
        ("One item: Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb", _LONG),
        ("../../etc", "etc"),
        ("x" * 200, "x" * 63),
        # The command line takes a number alone for a latent.
        ("1997", "concept-1997"),
        ("9" * 200, "concept-" + "9" * 55),
    ],
)
def test_ids_of_labels_in_ascii_stay_as_policies_name_them(label, expected):
    assert slug(label) == expected
    assert unique_slugs([label, "драма", "Drama"])[label] == expected


def test_labels_in_any_script_keep_an_id_of_their_own_whoever_comes_and_goes():
    labels = Path(__file__).with_name("labels.txt").read_text(encoding="utf-8").splitlines()
    together = unique_slugs(labels)
    assert len(set(together.values())) == len(labels) == 32
    for label, concept_id in together.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", concept_id), label
        assert unique_slugs([label]) == {label: concept_id}
    assert (together["1990s"], together["policier"]) == ("1990s", "policier")


def test_an_id_tells_what_latin_letters_a_label_has():
    # SHA-256 of "драма", "драма 1990s" and "amélie" in UTF-8, by coreutils.
    assert slug("драма") == "concept-2a5ad7e7"
    assert slug("Драма 1990s") == "1990s-4b95e63b"
    assert slug("Amélie") == "amelie-5f78ac01"


@given(st.lists(st.text(max_size=80), max_size=6, unique_by=meaning_of))
def test_no_two_meanings_share_an_id(labels: list[str]):
    slugs = unique_slugs(labels)
    assert len(set(slugs.values())) == len(labels)
    assert all(
        re.fullmatch("[a-z0-9-]{1,63}", one) and not one.isdecimal() for one in slugs.values()
    )


def test_labels_that_are_cut_to_the_same_id_tell_their_ends_apart():
    parts = [f"{'a very long name ' * 4}part {number}" for number in range(3)]
    slugs = unique_slugs(parts)
    assert len(set(slugs.values())) == 3
    assert unique_slugs(parts[1:]) == {part: slugs[part] for part in parts[1:]}


def test_labels_that_collide_get_different_slugs():
    slugs = unique_slugs(["Sci Fi", "Sci-Fi", "sci fi", "日本", "中国", "Sci Fi"])
    assert len(slugs) == 5 == len(set(slugs.values()))
    assert slugs["Sci Fi"] == "sci-fi"


def test_clean_drops_escapes_and_keeps_letters():
    assert clean("  A\x1b[0m\tB\r\nC\u200b\u202e é ", 50) == "A[0m B C é"
    assert clean("abcdef", 4) == "abc…"
    assert clean("\ud800", 10) == ""
