"""Every Python example of the README runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from readme_examples import PYTHON_EXAMPLES, run_example
from running_stack import Stack, wait_for


@pytest.mark.parametrize("name", PYTHON_EXAMPLES)
def test_example(name: str, stack: Stack, pipeline_job: str, tmp_path: Path):
    printed = run_example(PYTHON_EXAMPLES[name], stack.state.environment(), tmp_path)
    if name == "celery":
        # It asks for the real thing, minutes of training; that it was taken is enough here.
        wait_for(lambda: bool(stack.joblog.show(printed).stages), "the pipeline to be planned")
        stack.joblog.cancel(printed)
        wait_for(lambda: stack.joblog.show(printed).state.final, "the pipeline to stop")
