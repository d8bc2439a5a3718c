"""The tutorial's notebook runs from its first cell to its last, on the running stack."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from running_stack import Stack

_NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorials" / "steer-a-recommender.ipynb"
_SECONDS_PER_CELL = 400


def test_every_cell_runs(
    stack: Stack, pipeline_job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pipeline that it submits was made already: the same specification, the same artifacts.
    for name, value in stack.state.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(_NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=_SECONDS_PER_CELL, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    text = "".join(output.get("text", "") for output in shown)
    assert "releases/default after" in text
    assert "concepts, the surest first" in text
    assert "no change, same bits: True" in text
    assert any("image/png" in output.get("data", {}) for output in shown)


def test_it_is_committed_without_results() -> None:
    cells = nbformat.read(_NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
