"""The log of edits in a real object store."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from planted_artifacts import commit_planted, pipeline
from planted_world import planted_world

from reclens.contracts import ConceptCorrection, ConceptCorrectionsSpec, ConceptsSpec
from reclens.errors import CorruptArtifact, StaleCorrection
from reclens.platform.store.artifacts import ArtifactStore, ArtifactWriter
from reclens.platform.store.label_corrections import (
    CorrectionLog,
    labelling_spec_of,
    machine_concepts_of,
)


def edit(author: str, *latents: int) -> ConceptCorrection:
    return ConceptCorrection(
        operation="rename",
        concept_id="horror",
        was="Horror",
        latents=latents,
        name=f"{author}'s",
        author=author,
        at="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def autoencoder() -> str:
    """Of each test its own, since the bucket is the session's."""
    return f"autoencoders/{uuid.uuid4().hex[:16]}"


def test_entries_come_back_in_order_and_logs_do_not_mix(
    artifact_store: ArtifactStore, autoencoder: str
):
    log = CorrectionLog(artifact_store, autoencoder)
    assert log.read() == ()
    first, second = edit("ann", 1), edit("bob", 2)
    assert log.append(first, seen=0) == (first,)
    assert log.append(second, seen=1) == (first, second)
    assert CorrectionLog(artifact_store, autoencoder).read() == (first, second)
    assert CorrectionLog(artifact_store, f"autoencoders/{0:016x}").read() == ()
    keys = sorted(artifact_store.objects.list(f"edits/{autoencoder.split('/')[1]}/"))
    assert [key.rsplit("/", 1)[1] for key in keys] == ["000001.json", "000002.json"]


def test_of_many_who_edit_different_concepts_at_once_nobody_is_lost(
    artifact_store: ArtifactStore, autoencoder: str
):
    together = threading.Barrier(6)

    def write(latent: int) -> None:
        log = CorrectionLog(artifact_store, autoencoder)
        together.wait()
        log.append(edit(f"p{latent}", latent), seen=0)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    entries = CorrectionLog(artifact_store, autoencoder).read()
    assert sorted(one.latents[0] for one in entries) == list(range(6))


def test_of_two_who_edit_one_concept_at_once_the_second_is_told_of_the_first(
    artifact_store: ArtifactStore, autoencoder: str
):
    together = threading.Barrier(2)

    def write(author: str) -> str:
        log = CorrectionLog(artifact_store, autoencoder)
        together.wait()
        try:
            log.append(edit(author, 3, 5), seen=0)
        except StaleCorrection as refused:
            return str(refused)
        return ""

    with ThreadPoolExecutor(2) as pool:
        told = dict(zip(("ann", "bob"), pool.map(write, ("ann", "bob")), strict=True))
    (entry,) = CorrectionLog(artifact_store, autoencoder).read()
    loser = "bob" if entry.author == "ann" else "ann"
    assert told[entry.author] == ""
    assert f"{entry.author} has changed 'Horror' meanwhile (edit 1" in told[loser]


def test_what_its_author_has_seen_is_not_in_the_way(
    artifact_store: ArtifactStore, autoencoder: str
):
    log = CorrectionLog(artifact_store, autoencoder)
    log.append(edit("ann", 1, 2), seen=0)
    with pytest.raises(StaleCorrection, match="ann has changed"):
        log.append(edit("bob", 2, 3), seen=0)
    assert len(log.append(edit("bob", 2, 3), seen=1)) == 2


def test_a_gap_is_told_and_not_closed(artifact_store: ArtifactStore, autoencoder: str):
    log = CorrectionLog(artifact_store, autoencoder)
    for latent in range(3):
        log.append(edit("ann", latent), seen=latent)
    artifact_store.objects.delete(f"edits/{autoencoder.split('/')[1]}/000002.json")
    with pytest.raises(CorruptArtifact, match="000002"):
        log.append(edit("bob", 9), seen=3)


def test_an_entry_that_cannot_be_read_is_told(artifact_store: ArtifactStore, autoencoder: str):
    log = CorrectionLog(artifact_store, autoencoder)
    log.append(edit("ann", 1), seen=0)
    artifact_store.objects.put(f"edits/{autoencoder.split('/')[1]}/000001.json", b"{}")
    with pytest.raises(CorruptArtifact, match=r"000001\.json cannot be read"):
        log.read()


def test_edited_concepts_are_labelled_as_the_machines_under_them(
    artifact_store: ArtifactStore, tmp_path: Path
):
    commit_planted(planted_world(), artifact_store, tmp_path)
    (stage,) = (one for one in pipeline(min_items=7).plan() if one.name == "concepts")
    machine = ArtifactWriter(artifact_store, ConceptsSpec.parse(stage.spec))
    machine.commit({}, 0.0)
    edited = ArtifactWriter(
        artifact_store, ConceptCorrectionsSpec.of(machine.ref, [edit("ann", 1)])
    )
    edited.commit({}, 0.0)
    assert machine_concepts_of(artifact_store, edited.ref) == (machine.ref, 1)
    assert labelling_spec_of(artifact_store, edited.ref) == labelling_spec_of(
        artifact_store, machine.ref
    )
    assert labelling_spec_of(artifact_store, edited.ref).min_items == 7
