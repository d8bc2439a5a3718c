"""Reads figures back, and changes what they are drawn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from reclens.contracts import Manifest
from reclens.reproduce.collecting import Collected, Dictionary
from reclens.reproduce.plan import Role


def with_metrics(manifest: Manifest | None, **metrics: Any) -> Manifest:
    assert manifest is not None
    return manifest.model_copy(update={"metrics": {**manifest.metrics, **metrics}})


def with_config(one: Dictionary, *, l0: float, fvu: float, **config: Any) -> Dictionary:
    """The same dictionary under another configuration, with the health that it brings."""
    spec = {"config": {**one.autoencoder.spec["config"], **config}}
    health = {"l0": l0, "fvu": fvu, "k": config["k"], "n_latents": config["n_latents"]}
    autoencoder = with_metrics(one.autoencoder, **health).model_copy(update={"spec": spec})
    return replace(one, autoencoder=autoencoder)


def control_of(one: Dictionary, role: Role, name: str) -> Dictionary:
    return replace(one, roles=(role,), name=name)


def with_main(collected: Collected, **parts: Any) -> Collected:
    main, *others = collected.dictionaries
    return replace(collected, dictionaries=(replace(main, **parts), *others))


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def errorbars(figure: Figure, panel: int = 0) -> dict[str, ErrorbarContainer]:
    axes = figure.axes[panel]
    return {
        str(one.get_label()): one for one in axes.containers if isinstance(one, ErrorbarContainer)
    }


def reach(bar: ErrorbarContainer) -> np.ndarray:
    """Ends of the bars, [n_points, 2 ends, x and y]."""
    _, _, (lines,) = bar
    return np.array(lines.get_segments())  # type: ignore[attr-defined]
