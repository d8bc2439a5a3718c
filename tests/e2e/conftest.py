"""The whole stack, as `reclens up` starts it, with one small released pipeline on real data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from running_stack import PIPELINE, Stack, wait_for
from small_movielens import write_small_movielens

from reclens.client import SteeringClient
from reclens.errors import NotReady
from reclens.ops.local.stack import LocalStack
from reclens.ops.local.state import StateFolder
from reclens.platform.jobs.log import JobLog
from reclens.platform.store.artifacts import ArtifactStore

PIPELINE_SECONDS = 400


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, ml_100k_folder: Path) -> Iterator[Stack]:
    """Everything up; everything down afterwards."""
    state = StateFolder(tmp_path_factory.mktemp("stack") / "state")
    local = LocalStack(state)
    # A second data set, in the place of one that no test here reads as it is published.
    small = write_small_movielens(tmp_path_factory.mktemp("ml-1m"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECLENS_DATA__ML_100K", str(ml_100k_folder.absolute()))
        environment.setenv("RECLENS_DATA__ML_1M", str(small))
        local.up(lambda _line: None)
    try:
        settings = state.settings()
        url = settings.redis.url.get_secret_value()
        yield Stack(
            state=state,
            store=ArtifactStore.from_settings(settings),
            joblog=JobLog(settings.redis),
            celery=Celery(broker=url, backend=url),
        )
    finally:
        local.down(lambda _line: None)


@pytest.fixture(scope="session")
def pipeline_job(stack: Stack) -> str:
    """Id of a pipeline job that has succeeded, and whose release is served."""
    sent = stack.send("reclens.pipeline.run.v1", PIPELINE)
    sent.get(timeout=PIPELINE_SECONDS)
    with SteeringClient(stack.state.endpoints()["gateway"]) as client:

        def served() -> bool:
            try:
                return client.release("default").serving
            except NotReady:
                return False

        wait_for(served, "the gateway to serve what was published")
    return sent.id
