"""A process of whichever release ``PYTHONPATH`` leads to, started as its entry point does it.

``python -m release_process {recommender,trainer,labeler,gateway} [worker|serve]``. Where
``{name}.hold`` lies in ``RELEASES_FOLDER``, its training stays at a step until the worker is told
to stop. With ``RELEASES_RAISED`` its autoencoders are made by another algorithm than the release
has.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import reclens
from reclens.contracts import AutoencoderSpec, Progress
from reclens.platform.jobs.context import JobContext

STEP = 3


def hold_at_a_step(name: str, folder: Path) -> None:
    told = JobContext.progress

    def progress(job: JobContext, progress: Progress) -> None:
        told(job, progress)
        hold = folder / f"{name}.hold"
        if progress.stage == "train" and progress.step == STEP and hold.exists():
            hold.rename(folder / f"{name}.held")
            assert job.stopping.wait(60)

    JobContext.progress = progress


if __name__ == "__main__":
    name = sys.argv.pop(1)
    sys.stderr.write(f"runs {reclens.__file__}\n")
    hold_at_a_step(name, Path(os.environ["RELEASES_FOLDER"]))
    if os.environ.get("RELEASES_RAISED"):
        AutoencoderSpec.ALGORITHM += 1
    # Its loops would be compiled anew for files that were just unpacked, for half a minute; without
    # it PyTorch does their work.
    sys.modules["numba"] = None  # type: ignore[assignment]
    importlib.import_module(f"reclens_{name}.main").main()
