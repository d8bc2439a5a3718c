"""What keyword labels are worth, by the number of their terms and by judge.

Labels the latents of finished autoencoders again with labels of up to one, two and three terms, and
measures every labelling by the keyword matcher and by sentence embeddings, each beside another
latent's label; and counts what is labelled when the latents' firing is dealt out to other users.

    . .reclens/env && python benchmarks/labels.py autoencoders/ID ... [--terms 1 2 3]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from scipy import sparse

from reclens.concepts.evidence.cases import Cases, CaseSplit, read_cases
from reclens.concepts.labels.joining import join_latents
from reclens.concepts.labels.labelling import prepare_labelling
from reclens.contracts import ConceptsOptions
from reclens.data import Items, read_dataset
from reclens.platform.llm.sentence_embedding import SentenceEmbedder
from reclens.platform.settings.models import StoreSettings
from reclens.platform.store.artifacts import ArtifactStore, codes_of, scale_of

JUDGES = ("keywords", "embedding")
RESULTS = Path(__file__).parent / "results" / "labels.json"


def labelled(
    store: ArtifactStore, autoencoder: str, terms: list[int], embed: SentenceEmbedder
) -> list[dict[str, Any]]:
    """A row for each number of terms and judge."""
    lineage = store.lineage(autoencoder)
    dataset = store.manifest(lineage["dataset"]).spec["name"]
    model = store.manifest(lineage["recommender"]).spec["model"]["kind"]
    config = store.manifest(autoencoder).spec["config"]
    items = read_dataset(store.fetch_all(lineage["dataset"])).items
    scale, codes = scale_of(store, autoencoder), codes_of(store, autoencoder)
    rows = []
    for max_terms in terms:
        options = ConceptsOptions(max_terms=max_terms, judges=JUDGES)

        def cases(split: CaseSplit, options: ConceptsOptions = options) -> Cases:
            return read_cases(
                codes, split, items.ids, len(scale), max_cases=options.max_cases, seed=options.seed
            )

        started = time.monotonic()
        metrics = measured(
            cases("construct"), cases("verify"), items, scale, options=options, embed=embed
        )
        seconds = time.monotonic() - started
        shape = "untrained" if config["n_epochs"] == 0 else config["kind"]
        name = f"{dataset}, {model}, {shape} {config['n_latents']}/{config['k']}"
        counts = {key: metrics[key] for key in ("alive", "labelled", "distinct", "single_item")}
        chance = dealt_out(cases("construct"), cases("verify"), items, scale, options)
        counts |= {"dealt_out": chance}
        for judge in JUDGES:
            row = {"name": name, "terms": max_terms, "judge": judge, **counts}
            rows.append({**row, **metrics["judges"][judge], "seconds_of_both": round(seconds, 1)})
            print(json.dumps(rows[-1]), flush=True)  # noqa: T201 - a command
    return rows


def measured(*what_labelling_takes: Any, **options: Any) -> dict[str, Any]:
    """What the labels of all latents are worth in sum, see `prepare_labelling`."""
    context = prepare_labelling(*what_labelling_takes, **options)
    return join_latents(context, list(context.label_by_keywords(range(context.n_latents)))).metrics


def dealt_out(
    construct: Cases, verify: Cases, items: Items, scale: np.ndarray, options: ConceptsOptions
) -> dict[str, int]:
    """What is labelled where nothing means anything: firing is dealt out to other users."""
    options = options.model_copy(update={"judges": ("keywords",)})
    sides = [_of_other_users(side, seed) for seed, side in enumerate((construct, verify))]
    metrics = measured(*sides, items, scale, options=options)
    return {key: metrics[key] for key in ("alive", "labelled", "trusted")}


def _of_other_users(cases: Cases, seed: int) -> Cases:
    """Every user's cases fire what those of another one fire, in the same order."""
    users, user = np.unique(cases.user_ids.astype(str), return_inverse=True)
    rows = [np.nonzero(user == one)[0] for one in range(len(users))]
    others = np.random.default_rng(seed).permutation(len(users))
    source = np.empty(len(cases), np.int64)
    for own, other in zip(rows, others, strict=True):
        source[own] = rows[other][np.arange(len(own)) * len(rows[other]) // len(own)]
    return replace(cases, activations=sparse.csr_matrix(cases.activations[source]))


def main() -> None:
    """Label, print and write ``benchmarks/results/labels.json``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("autoencoders", nargs="+", help="kind/id of each")
    parser.add_argument("--terms", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    store = ArtifactStore.from_settings(StoreSettings())
    embed = SentenceEmbedder()
    rows = [
        row
        for autoencoder in arguments.autoencoders
        for row in labelled(store, autoencoder, arguments.terms, embed)
    ]
    result = {"machine": machine(torch.get_num_threads()), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
