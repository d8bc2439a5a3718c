"""Stage: an autoencoder and its concepts to figures on users that neither was made from."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts import LatentLabel
from reclens.concepts.evidence.cases import Cases, CaseSplit, read_cases
from reclens.concepts.evidence.vocabulary import build_vocabulary
from reclens.concepts.labels.table import read_concepts
from reclens.contracts import EvaluationSpec, Progress
from reclens.contracts.tables import CONCEPTS, EXAMPLES, FIDELITY, LATENT_QUALITY, LEVELS, Table
from reclens.data import Dataset, read_dataset
from reclens.device import device_label, resolve_device
from reclens.errors import InvalidInput, MissingData
from reclens.evaluation.fidelity import (
    HELD_OUT,
    TEST,
    fidelity_rows,
    held_out_users,
    popularity_quality,
    summarise_fidelity,
)
from reclens.evaluation.label_truth import measure_label_truth
from reclens.evaluation.levels import measure_examples, measure_levels
from reclens.evaluation.matching_items import described_items, matching_items
from reclens.evaluation.monosemanticity import measure_monosemanticity
from reclens.evaluation.probing import ProbedCases, probe_tags
from reclens.evaluation.similarity import text_vectors
from reclens.evaluation.statistics import alike_directions
from reclens.platform.jobs.context import JobContext
from reclens.platform.store.artifacts import codes_of
from reclens.platform.store.label_corrections import labelling_spec_of
from reclens.probing import ProbeSite
from reclens.recommenders import Recommender, load_recommender
from reclens.sae import SparseAutoencoder, load_autoencoder, untrained_like
from reclens.sae.analysis.stability import decoder_stability
from reclens_recommender.stages.held_out import measure_origins, representations, split_of_user

_SHARDS: Final = "shard-*.parquet"


def run(spec: EvaluationSpec, job: JobContext) -> dict[str, Any]:
    """Measure fidelity, similarity and hit ratio by activation level.

    Objects made: ``fidelity.parquet``, ``latent_quality.parquet``, ``levels.parquet`` and
    ``examples.parquet``.

    Returns:
        ``fidelity`` by origin of the representation, and in ``eligible`` how many held-out users
        it could have been measured on; ``origins``, cases and reconstruction by origin;
        ``described``, how many items have a title or a tag; ``popularity``, the quality on test of
        recommending what is popular; ``similarity`` by the recommender's item vectors and
        ``similarity_text`` by item text; ``label_truth``; ``levels``, ``probing``, ``examples``;
        ``stability`` of directions over seeds beside random ones, None without a second training.

    Raises:
        InvalidInput: the concepts are not of this autoencoder.
        MissingData: no held-out user has something to be found.
        NotReady: the worker's device is not there.
    """
    lineage = job.store.lineage(spec.concepts)
    if lineage.get("autoencoder") != spec.autoencoder:
        raise InvalidInput(
            f"{spec.concepts} labels {lineage.get('autoencoder')}, not {spec.autoencoder}.",
            field="concepts",
            remedy="name concepts that were made from this autoencoder.",
        )
    job.progress(Progress(stage="read"))
    read = _read(spec, job, lineage)
    fidelity = _fidelity(spec, job, read)

    job.progress(Progress(stage="similarity"))
    items, labels = read.dataset.items, read.labels
    # Labels were made on construct and judged on verify users; these are the others.
    test = read.cases(TEST, max_cases=spec.max_cases, seed=spec.seed)
    quality = measure_monosemanticity(
        test,
        labels,
        items,
        read.model.item_weights().detach().cpu().numpy(),
        text_vectors(items),
        interpretable=spec.interpretable,
        seed=spec.seed,
    )
    activations, top = sparse.csc_matrix(test.activations), test.top_items[:, 0]
    vocabulary = build_vocabulary(items, min_items=read.min_items)
    truth = measure_label_truth(
        activations,
        top,
        labels,
        items,
        vocabulary,
        interpretable=spec.interpretable,
        seed=spec.seed,
    )
    _store(job, quality.beside(truth).table, LATENT_QUALITY)

    job.progress(Progress(stage="levels"))
    matching = matching_items(labels, items, vocabulary)
    levels = measure_levels(
        activations, top, matching, labels, interpretable=spec.interpretable, seed=spec.seed
    )
    _store(job, levels.table, LEVELS)
    examples = measure_examples(activations, top, matching, labels, n=spec.n_examples)
    _store(job, examples.table, EXAMPLES)
    job.progress(Progress(stage="origins"))
    return {
        **fidelity,
        "origins": measure_origins(read.sae, read.codes, read.activations),
        "described": described_items(items),
        "popularity": popularity_quality(read.dataset, spec.ks),
        **quality.metrics,
        **truth.metrics,
        "levels": levels.metrics,
        "probing": _probing(spec, job, read),
        "stability": _stability(spec, job, read),
        **examples.metrics,
    }


@dataclass(frozen=True, eq=False)
class _Read:
    """Everything upstream of the evaluation."""

    dataset: Dataset
    model: Recommender
    site: ProbeSite
    sae: SparseAutoencoder
    labels: list[LatentLabel]
    min_items: int
    codes: list[Path]
    activations: list[Path]

    def cases(self, split: CaseSplit, *, max_cases: int, seed: int) -> Cases:
        """The coded cases of one kind of user; drawn where there are more than ``max_cases``."""
        items, n_latents = self.dataset.items.ids, len(self.labels)
        return read_cases(self.codes, split, items, n_latents, max_cases=max_cases, seed=seed)


def _read(spec: EvaluationSpec, job: JobContext, lineage: Mapping[str, str]) -> _Read:
    store = job.store
    device = resolve_device(job.settings.device)
    job.computes_on(device_label(device))
    model = load_recommender(store.fetch_all(lineage["recommender"]), device)
    captured = store.manifest(lineage["activations"])
    shards = fnmatch.filter((entry.name for entry in captured.objects), _SHARDS)
    site = captured.spec["site"]
    return _Read(
        dataset=read_dataset(store.fetch_all(lineage["dataset"])),
        model=model,
        site=model.site if site is None else ProbeSite(**site),
        sae=load_autoencoder(store.fetch_all(spec.autoencoder), device),
        labels=read_concepts(store.fetch(spec.concepts, CONCEPTS.file)),
        min_items=labelling_spec_of(store, spec.concepts).min_items,
        codes=codes_of(store, spec.autoencoder),
        activations=[store.fetch(captured.artifact, name) for name in shards],
    )


def _probing(spec: EvaluationSpec, job: JobContext, read: _Read) -> dict[str, Any]:
    """Sparse probing, chosen and fitted on construct users, measured on test users."""
    job.progress(Progress(stage="probing"))

    def side(split: CaseSplit) -> ProbedCases:
        # All of them, so that codes and representations stand in the same order.
        cases = read.cases(split, max_cases=sys.maxsize, seed=spec.seed)
        x = representations(read.activations, split)
        return ProbedCases(cases.activations, x, cases.top_items[:, 0])

    return probe_tags(side("construct"), side(TEST), read.dataset.items, seed=spec.seed)


def _stability(spec: EvaluationSpec, job: JobContext, read: _Read) -> dict[str, Any] | None:
    """Directions of this training beside those of the other, and beside random ones."""
    if spec.retrained is None:
        return None
    own = read.sae.W_dec.cpu().numpy()
    other = load_autoencoder(job.store.fetch_all(spec.retrained)).W_dec.numpy()
    rng = np.random.default_rng(spec.seed)
    rows = {
        "retrained": other,
        "alike": alike_directions(other, rng),
        "random": rng.normal(size=other.shape),
    }
    found = {name: asdict(decoder_stability(own, other)) for name, other in rows.items()}
    for one in found.values():
        one["matched_share"] = {str(limit): share for limit, share in one["matched_share"].items()}
    return found


# --- fidelity ------------------------------------------------------------------------------------


def _fidelity(spec: EvaluationSpec, job: JobContext, read: _Read) -> dict[str, Any]:
    dataset, model = read.dataset, read.model
    splits = {
        dataset.users.index_of(user): split for user, split in split_of_user(read.codes).items()
    }
    eligible = held_out_users(dataset, sorted(splits))
    split_of_eligible = {user.user_index: splits[user.user_index] for user in eligible}
    chosen = set(choose_users(split_of_eligible, spec.max_users, spec.seed))
    users = [user for user in eligible if user.user_index in chosen]
    if not users:
        raise MissingData(
            "no held-out user has a history and then something new in test.",
            field="autoencoder",
            remedy="capture with larger shares of held-out users, or split the data otherwise.",
        )
    replacements = _replacements(read.sae)
    origins = ("history",) if model.reads_history else ("learned", "folded")
    total = len(origins) * len(users) * (len(replacements) + 1)
    rows: list[dict[str, Any]] = []
    for origin in origins:
        for row in fidelity_rows(
            model,
            read.site,
            users,
            replacements,
            ks=spec.ks,
            overlap_at=spec.overlap_at,
            by_history=origin == "folded",
        ):
            user = int(row.pop("user_index"))
            keys = {"user_id": dataset.users.ids[user], "split": splits[user], "origin": origin}
            rows.append({**keys, **row})
            job.progress(Progress(stage="fidelity", step=len(rows), total=total, unit="lists"))
    _store(job, pa.Table.from_pylist(rows), FIDELITY)
    return {
        "fidelity": summarise_fidelity(rows, seed=spec.seed),
        "eligible": {
            HELD_OUT: len(eligible),
            TEST: sum(split == TEST for split in split_of_eligible.values()),
        },
    }


def choose_users(splits: Mapping[int, str], max_users: int, seed: int) -> list[int]:
    """User indices to compare, rising: all where they are few, else test users and then a draw."""
    users = sorted(splits)
    if len(users) <= max_users:
        return users
    drawn = np.random.default_rng(seed).permutation(users).tolist()
    drawn.sort(key=lambda user: splits[user] != TEST)
    return sorted(drawn[:max_users])


def _replacements(sae: SparseAutoencoder) -> dict[str, Callable[[Any], Any]]:
    return {
        "reconstruction": sae.forward,
        "random_sae": untrained_like(sae).forward,
        "mean": sae.input_mean.expand_as,
    }


def _store(job: JobContext, rows: pa.Table, table: Table) -> None:
    table.write(rows, job.folder / table.file)
    job.add(job.folder / table.file)
