"""``report.json`` and ``report.md``: what the demo measured and showed, in ``templates/``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.contracts import Manifest, Release
from reclens.contracts.tables import CONCEPTS
from reclens.platform.store.artifacts import ArtifactStore
from reclens.studies.demo import story as choosing
from reclens.studies.demo.story import STRENGTH, Story, carrying
from reclens.studies.templates import pick, shortened, template_environment

_HISTORY_SHOWN = 10
_LATENTS_SHOWN = 10


_STAGES = ("dataset", "recommender", "activations", "autoencoder", "concepts")


@dataclass(frozen=True)
class Figures:
    """What was measured of everything behind a release."""

    stages: dict[str, Manifest]
    """Manifests by stage, in order: ``dataset``, ``recommender``, ``activations``, ``autoencoder``,
    ``concepts``."""
    confidences: list[float]
    """Confidence of every label that was judged, one per latent."""

    def metrics(self, stage: str) -> dict[str, Any]:
        """What a stage measured."""
        return self.stages[stage].metrics


def read_figures(store: ArtifactStore, release: Release) -> Figures:
    """Read them.

    Raises:
        NotFound: an artifact of the release is missing.
        CorruptArtifact: its bytes are not what its manifest says.
    """
    refs = {**store.lineage(release.concepts), "concepts": release.concepts}
    table = CONCEPTS.read(store.fetch(release.concepts, CONCEPTS.file), ["confidence"])
    return Figures(
        stages={stage: store.manifest(refs[stage]) for stage in _STAGES},
        confidences=table["confidence"].drop_null().to_pylist(),
    )


def as_report(figures: Figures, story: Story, total_seconds: float) -> dict[str, Any]:
    """The content of ``report.json``.

    Args:
        figures: of the release.
        story: of its user.
        total_seconds: wall time of this run of the demo.
    """
    # The wire has single precision: more digits would be noise.
    choice, effect = story.choice, story.answer.effect
    dataset, recommender, _, autoencoder, concepts = map(figures.metrics, _STAGES)
    seconds = {stage: manifest.seconds for stage, manifest in figures.stages.items()}
    return {
        "dataset": pick(dataset, "users", "items", "interactions"),
        "recommenders": {recommender["model"]: pick(recommender["test"], "hr@10", "ndcg@10")},
        "autoencoder": pick(autoencoder, "fvu", "l0", "dead_fraction", "random_fvu"),
        "concepts": pick(concepts, "alive", "labelled", "trusted"),
        "steering": {
            "user": choice.user_id,
            "edits": [
                {"concept": choice.more_of.concept_id, "add": STRENGTH},
                {"concept": choice.less_of.concept_id, "add": -STRENGTH},
            ],
            "baseline": [_title(item) for item in story.answer.baseline],
            "steered": [_title(item) for item in story.answer.items],
            "effect": {
                "overlap": round(effect.overlap, 6),
                "score_shift": round(effect.score_shift, 6),
                "relative_shift": round(effect.relative_shift, 6),
                "edited_latents": effect.edited_latents,
            },
        },
        "seconds": {**seconds, "total": round(total_seconds, 3)},
    }


def as_markdown(report: dict[str, Any], figures: Figures, story: Story) -> str:
    """The same for people, with the history, the latents and the plots."""
    return _render(
        "report.md.j2",
        story,
        report=report,
        trained=figures.metrics("autoencoder"),
        judged=figures.metrics("concepts"),
        manifests=figures.stages.values(),
    )


def as_text(story: Story) -> str:
    """The story for a terminal."""
    return _render("story.txt.j2", story)


def _render(name: str, story: Story, **values: Any) -> str:
    environment = template_environment("reclens.studies.demo")
    environment.globals |= vars(choosing)
    environment.filters |= {"title_of": _title, "cut": shortened}
    counts = {
        f"{side}_{when}": carrying(concept, [list(item.tags) for item in items])
        for side, concept in (("up", story.choice.more_of), ("down", story.choice.less_of))
        for when, items in (("before", story.answer.baseline), ("after", story.answer.items))
    }
    return environment.get_template(name).render(
        story=story,
        counts=counts,
        history=list(story.explanation.history)[-_HISTORY_SHOWN:],
        latents=list(story.explanation.explanation.latents)[:_LATENTS_SHOWN],
        side_by_side=_side_by_side(story),
        **values,
    )


def _side_by_side(story: Story) -> list[list[str]]:
    rows = []
    for before, after in zip(story.answer.baseline, story.answer.items, strict=True):
        moved = "=" if after.rank == after.baseline_rank else f"{after.baseline_rank}"
        cells = [_marked(story, before), _marked(story, after)]
        rows.append([str(after.rank), *cells, moved])
    return rows


def _marked(story: Story, item: pb.Recommendation) -> str:
    marks = ("▲", story.choice.more_of.label), ("▼", story.choice.less_of.label)
    return " ".join([_title(item), *(mark for mark, label in marks if label in item.tags)])


def _title(item: pb.Recommendation | pb.HistoryItem) -> str:
    return item.title or item.item_id
