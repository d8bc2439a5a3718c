"""``report.json`` and ``report.md``: what the demo measured and showed."""

from __future__ import annotations

from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.studies.demo.figures import Figures
from reclens.studies.demo.story import RULE, STRENGTH, Story, carrying

_HISTORY_SHOWN = 10
_LATENTS_SHOWN = 10


def as_report(figures: Figures, story: Story, total_seconds: float) -> dict[str, Any]:
    """The content of ``report.json``.

    Args:
        figures: of the release.
        story: of its user.
        total_seconds: wall time of this run of the demo.
    """
    # The wire has single precision: more digits would be noise.
    choice, effect = story.choice, story.answer.effect
    autoencoder, concepts = figures.autoencoder.metrics, figures.concepts.metrics
    test = figures.recommender.metrics["test"]
    seconds = {stage: manifest.seconds for stage, manifest in figures.manifests().items()}
    return {
        "dataset": _pick(figures.dataset.metrics, "users", "items", "interactions"),
        "recommenders": {figures.recommender.metrics["model"]: _pick(test, "hr@10", "ndcg@10")},
        "autoencoder": _pick(autoencoder, "fvu", "l0", "dead_fraction", "random_fvu"),
        "concepts": _pick(concepts, "alive", "labelled", "trusted"),
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
    choice = story.choice
    up, down = choice.more_of, choice.less_of
    (model, quality), *_ = report["recommenders"].items()
    dataset, autoencoder, concepts = report["dataset"], report["autoencoder"], report["concepts"]
    metrics = figures.concepts.metrics
    history = [_title(item) for item in story.explanation.history]
    latents = [
        [
            f"{one.latent}",
            one.label or "(unlabelled)",
            f"{one.confidence:.2f}" if one.measured else "",
            f"{one.activation:.2f}",
        ]
        for one in list(story.explanation.explanation.latents)[:_LATENTS_SHOWN]
    ]
    lines = [
        f"# From {dataset['interactions']:,} interactions to a steered recommendation",
        "",
        f"{dataset['users']:,} users, {dataset['items']:,} items. {model}: "
        f"HR@10 {quality['hr@10']:.3f}, NDCG@10 {quality['ndcg@10']:.3f} on the test items "
        "(full ranking, seen items excluded).",
        "",
        "## The dictionary",
        "",
        f"{figures.autoencoder.metrics['n_latents']:,} latents, {autoencoder['l0']:.0f} active at "
        f"once, explain {1 - autoencoder['fvu']:.1%} of the variance of the representations of "
        f"users that it was not trained on (fraction unexplained, FVU: {autoencoder['fvu']:.4f}; "
        f"an untrained dictionary: {autoencoder['random_fvu']:.2f}; always answering with the "
        f"mean: 1). {autoencoder['dead_fraction']:.1%} of the latents are dead.",
        "",
        "![reconstruction](reconstruction.png)",
        "",
        "## The concepts",
        "",
        f"{concepts['alive']:,} latents fire, {concepts['labelled']:,} got a label, "
        f"{concepts['trusted']:,} of the labels are trusted: judged on users that no label was "
        "made from. Median confidence "
        f"{metrics['balanced_accuracy_median']:.2f}; with labels shuffled among the latents "
        f"{metrics['shuffled_balanced_accuracy_median']:.2f}; chance 0.5.",
        "",
        "![confidence](concept_confidence.png)",
        "",
        f"## User {choice.user_id}: more {up.label}, less {down.label}",
        "",
        f"Recent history: {'; '.join(history[-_HISTORY_SHOWN:])}.",
        "",
        "Latents that fire, strongest first:",
        "",
        *_markdown_table(["latent", "label", "confidence", "activation"], latents),
        "",
        f"{up.label} +{STRENGTH} (confidence {up.confidence:.2f}, {len(up.latents)} latents), "
        f"{down.label} -{STRENGTH} (confidence {down.confidence:.2f}, {len(down.latents)} "
        "latents):",
        "",
        *_markdown_table(["rank", "untouched", "steered", "rank before"], _side_by_side(story)),
        "",
        _effect_sentence(story),
        "",
        _average_sentence(story),
        "",
        "![steering](steering.png)",
        "",
        "## How this user and these concepts were chosen",
        "",
        RULE,
        "",
        "## Versions",
        "",
        f"release {story.answer.versions.release} {story.answer.versions.release_version}",
        *(f"- {manifest.artifact}" for manifest in figures.manifests().values()),
    ]
    return "\n".join(lines) + "\n"


def as_text(story: Story) -> str:
    """The story for a terminal."""
    choice = story.choice
    up, down = choice.more_of, choice.less_of
    lines = [f"User {choice.user_id} saw lately:"]
    lines += [
        f"  {_title(item)} ({', '.join(item.tags)})"
        for item in list(story.explanation.history)[-_HISTORY_SHOWN:]
    ]
    lines += ["", "Latents that fire, strongest first:"]
    for one in list(story.explanation.explanation.latents)[:_LATENTS_SHOWN]:
        said = f"confidence {one.confidence:.2f}" if one.concept_id else "no label"
        lines.append(f"  {one.latent:>5}  {one.activation:4.2f}  {one.label or '-'}  ({said})")
    lines += [
        "",
        f"More {up.label} (+{STRENGTH}), less {down.label} (-{STRENGTH}):",
        "",
        f"      {'untouched':<42}  steered",
    ]
    for rank, before, after, moved in _side_by_side(story):
        lines.append(f"  {rank:>2}  {_cut(before, 42):<42}  {_cut(after, 42):<42}  {moved}")
    return "\n".join([*lines, "", _effect_sentence(story), _average_sentence(story)])


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


def _average_sentence(story: Story) -> str:
    average, choice = story.average, story.choice
    return (
        f"The same edits for {average.users} users, on average: {choice.more_of.label} "
        f"{average.more_before:.1f} → {average.more_after:.1f}, {choice.less_of.label} "
        f"{average.less_before:.1f} → {average.less_after:.1f} of {len(story.answer.items)}."
    )


def _effect_sentence(story: Story) -> str:
    answer, effect = story.answer, story.answer.effect
    before = [list(item.tags) for item in answer.baseline]
    after = [list(item.tags) for item in answer.items]
    said = [
        f"{concept.label} ({mark}) {carrying(concept, before)} → {carrying(concept, after)}"
        for mark, concept in (("▲", story.choice.more_of), ("▼", story.choice.less_of))
    ]
    return (
        f"In the top {len(answer.items)}: {', '.join(said)}. {effect.overlap:.0%} of the untouched "
        f"answer kept; the representation moved by {effect.relative_shift:.0%} of its norm."
    )


def _markdown_table(columns: list[str], rows: list[list[str]]) -> list[str]:
    body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *body]


def _title(item: pb.Recommendation | pb.HistoryItem) -> str:
    return item.title or item.item_id


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _pick(metrics: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: metrics[name] for name in names}
