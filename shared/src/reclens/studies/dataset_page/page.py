"""``index.html``: the page itself, with its pictures in it."""

from __future__ import annotations

import base64
from pathlib import Path

from reclens.contracts import Manifest
from reclens.contracts.account import ImportAccount
from reclens.data import Dataset
from reclens.studies.dataset_page.figures import measure
from reclens.studies.dataset_page.plots import draw_plots
from reclens.studies.templates import template_environment

PAGE = "index.html"


def write_page(manifest: Manifest, dataset: Dataset, folder: Path) -> Path:
    """Write the page and its plots, and return the page's path.

    Args:
        manifest: of the data set's artifact; those of before accounts are taken, too.
        dataset: what the artifact holds.
        folder: made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = manifest.metrics.get("account")
    account = None if told is None else ImportAccount.parse(told)
    # Of an import without an account, dates are told from places in an order by their size.
    timed = (
        account.first_time is not None
        if account is not None
        else bool(dataset.interactions.timestamp.max() > len(dataset.interactions))
    )
    figures = measure(dataset, timed=timed)
    plots = {
        name: base64.b64encode(path.read_bytes()).decode()
        for name, path in draw_plots(figures, folder).items()
    }
    page = (
        template_environment("reclens.studies.dataset_page")
        .get_template("page.html.j2")
        .render(manifest=manifest, account=account, dataset=dataset, figures=figures, plots=plots)
    )
    path = folder / PAGE
    path.write_text(page, encoding="utf-8")
    return path
