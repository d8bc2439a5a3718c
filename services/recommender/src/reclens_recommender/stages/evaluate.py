"""Stage: an autoencoder and its concepts to figures on users that neither was made from."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy import sparse

from reclens.concepts import LatentLabel
from reclens.concepts.evidence.cases import Cases, CaseSplit, read_cases
from reclens.concepts.evidence.vocabulary import Vocabulary, build_vocabulary
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
from reclens_recommender.stages.capture import table_from_bytes, table_to_bytes
from reclens_recommender.stages.held_out import measure_origins, representations, split_of_user

_SHARDS: Final = "shard-*.parquet"
# Users in a forward pass of fidelity, whose rows are made together.
_USERS: Final = 128


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
    evaluation = Evaluation(spec, job, _read(spec, job, lineage))
    job.drive(evaluation)
    return evaluation.metrics


class Evaluation:
    """All that is measured, one thing after another. It goes on after those that are done, and of
    fidelity after the users that are.

    Attributes:
        metrics: of what is done.
    """

    def __init__(self, spec: EvaluationSpec, job: JobContext, read: _Read) -> None:
        self.metrics: dict[str, Any] = {}
        self._spec = spec
        self._job = job
        self._read = read
        self._fidelity = Fidelity(spec, read)
        self._done: list[str] = []
        self._parts: dict[str, Callable[[], dict[str, Any]]] = {
            "fidelity": self._summarise_fidelity,
            "similarity": self._similarity,
            "levels": self._levels,
            "origins": self._origins,
            "probing": self._probing,
            "stability": self._stability,
        }

    def steps(self) -> Iterator[Progress]:
        """Measure what is not done yet."""
        for name, part in self._parts.items():
            if name in self._done:
                continue
            if name == "fidelity":
                yield from self._fidelity.steps()
            else:
                yield Progress(stage=name)
            self.metrics |= part()
            self._done.append(name)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Figures of what is done, and the rows of fidelity until they are summarised."""
        meta = {"done": list(self._done), "metrics": self.metrics}
        return {} if self._done else self._fidelity.state(), meta

    def restore(self, tensors: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
        """Go on after them."""
        self._done, self.metrics = list(meta["done"]), dict(meta["metrics"])
        if tensors:
            self._fidelity.restore(tensors)

    # --- what is read by several -----------------------------------------------------------------

    @cached_property
    def _test(self) -> Cases:
        # Labels were made on construct and judged on verify users; these are the others.
        return self._read.cases(TEST, max_cases=self._spec.max_cases, seed=self._spec.seed)

    @cached_property
    def _activations(self) -> sparse.csc_matrix:
        return sparse.csc_matrix(self._test.activations)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return build_vocabulary(self._read.dataset.items, min_items=self._read.min_items)

    # --- the parts -------------------------------------------------------------------------------

    def _summarise_fidelity(self) -> dict[str, Any]:
        _store(self._job, pa.Table.from_pylist(self._fidelity.rows), FIDELITY)
        return self._fidelity.metrics

    def _similarity(self) -> dict[str, Any]:
        read, spec = self._read, self._spec
        items = read.dataset.items
        quality = measure_monosemanticity(
            self._test,
            read.labels,
            items,
            read.model.item_weights().detach().float().cpu().numpy(),
            text_vectors(items),
            interpretable=spec.interpretable,
            seed=spec.seed,
        )
        truth = measure_label_truth(
            self._activations,
            self._test.top_items[:, 0],
            read.labels,
            items,
            self._vocabulary,
            interpretable=spec.interpretable,
            seed=spec.seed,
        )
        _store(self._job, quality.beside(truth).table, LATENT_QUALITY)
        return {**quality.metrics, **truth.metrics}

    def _levels(self) -> dict[str, Any]:
        read, spec, top = self._read, self._spec, self._test.top_items[:, 0]
        matching = matching_items(read.labels, read.dataset.items, self._vocabulary)
        levels = measure_levels(
            self._activations,
            top,
            matching,
            read.labels,
            interpretable=spec.interpretable,
            seed=spec.seed,
        )
        _store(self._job, levels.table, LEVELS)
        examples = measure_examples(
            self._activations, top, matching, read.labels, n=spec.n_examples
        )
        _store(self._job, examples.table, EXAMPLES)
        return {"levels": levels.metrics, **examples.metrics}

    def _origins(self) -> dict[str, Any]:
        read = self._read
        return {
            "origins": measure_origins(read.sae, read.codes, read.activations),
            "described": described_items(read.dataset.items),
            "popularity": popularity_quality(read.dataset, self._spec.ks),
        }

    def _probing(self) -> dict[str, Any]:
        """Sparse probing, chosen and fitted on construct users, measured on test users."""
        read, seed = self._read, self._spec.seed

        def side(split: CaseSplit) -> ProbedCases:
            # All of them, so that codes and representations stand in the same order.
            cases = read.cases(split, max_cases=sys.maxsize, seed=seed)
            x = representations(read.activations, split)
            return ProbedCases(cases.activations, x, cases.top_items[:, 0])

        probed = probe_tags(side("construct"), side(TEST), read.dataset.items, seed=seed)
        return {"probing": probed}

    def _stability(self) -> dict[str, Any]:
        """Directions of this training beside those of the other, and beside random ones."""
        retrained = self._spec.retrained
        if retrained is None:
            return {"stability": None}
        own = self._read.sae.W_dec.cpu().numpy()
        other = load_autoencoder(self._job.store.fetch_all(retrained)).W_dec.numpy()
        rng = np.random.default_rng(self._spec.seed)
        rows = {
            "retrained": other,
            "alike": alike_directions(other, rng),
            "random": rng.normal(size=other.shape),
        }
        found = {name: asdict(decoder_stability(own, other)) for name, other in rows.items()}
        for one in found.values():
            one["matched_share"] = {str(at): share for at, share in one["matched_share"].items()}
        return {"stability": found}


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


# --- fidelity ------------------------------------------------------------------------------------


class Fidelity:
    """Rankings with the representation replaced, for some users after the others.

    Attributes:
        rows: the table ``FIDELITY``, as far as it is made.

    Raises:
        MissingData: no held-out user has something to be found.
    """

    def __init__(self, spec: EvaluationSpec, read: _Read) -> None:
        self.rows: list[dict[str, Any]] = []
        self._spec = spec
        self._read = read
        self._chunks = 0
        dataset = read.dataset
        self._splits = {
            dataset.users.index_of(user): split for user, split in split_of_user(read.codes).items()
        }
        eligible = held_out_users(dataset, sorted(self._splits))
        self._eligible = {user.user_index: self._splits[user.user_index] for user in eligible}
        chosen = set(choose_users(self._eligible, spec.max_users, spec.seed))
        self._users = [user for user in eligible if user.user_index in chosen]
        if not self._users:
            raise MissingData(
                "no held-out user has a history and then something new in test.",
                field="autoencoder",
                remedy="capture with larger shares of held-out users, or split the data otherwise.",
            )

    def steps(self) -> Iterator[Progress]:
        """Rank for the users that are left."""
        spec, read, users = self._spec, self._read, self._users
        replacements = _replacements(read.sae)
        origins = ("history",) if read.model.reads_history else ("learned", "folded")
        total = len(origins) * len(users) * (len(replacements) + 1)
        chunks = [
            (origin, users[start : start + _USERS])
            for origin in origins
            for start in range(0, len(users), _USERS)
        ]
        for origin, chunk in chunks[self._chunks :]:
            rows: list[dict[str, Any]] = []
            for row in fidelity_rows(
                read.model,
                read.site,
                chunk,
                replacements,
                ks=spec.ks,
                overlap_at=spec.overlap_at,
                by_history=origin == "folded",
                batch_size=_USERS,
            ):
                user = int(row.pop("user_index"))
                keys = {
                    "user_id": read.dataset.users.ids[user],
                    "split": self._splits[user],
                    "origin": origin,
                }
                rows.append({**keys, **row})
                done = len(self.rows) + len(rows)
                if len(rows) < len(chunk) * (len(replacements) + 1):
                    yield Progress(stage="fidelity", step=done, total=total, unit="lists")
            self.rows += rows
            self._chunks += 1
            yield Progress(stage="fidelity", step=len(self.rows), total=total, unit="lists")

    @property
    def metrics(self) -> dict[str, Any]:
        """What the rows say, and how many users there could have been."""
        return {
            "fidelity": summarise_fidelity(self.rows, seed=self._spec.seed),
            "eligible": {
                HELD_OUT: len(self._eligible),
                TEST: sum(split == TEST for split in self._eligible.values()),
            },
        }

    def state(self) -> dict[str, np.ndarray]:
        """The rows of the users that are done, as an Arrow stream; empty where none are."""
        if not self._chunks:
            return {}
        rows = table_to_bytes([pa.Table.from_pylist(self.rows)])
        return {"rows": rows, "chunks": np.array([self._chunks])}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on after those users."""
        self.rows = table_from_bytes(tensors["rows"]).to_pylist()
        self._chunks = int(tensors["chunks"][0])


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
