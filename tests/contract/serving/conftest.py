"""Tiny releases in a real object store, and both servers on free ports, over a real wire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from buckets import bucket_of_ones_own
from served_world import MODELS
from serving_stack import Loop, Serving, Stack

from reclens.platform.settings.models import S3Settings
from reclens_recommender.serving.representations import Representation, Subject
from reclens_recommender.serving.server import RunningInference


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    """The servers' event loop."""
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def stack(loop: Loop, own_bucket: S3Settings, tmp_path: Path) -> Iterator[Stack]:
    """Nothing published, nothing started, in a bucket of the test's own."""
    stack = Stack(loop, own_bucket, tmp_path)
    yield stack
    stack.close()


def _serving(loop: Loop, s3: S3Settings, folder: Path, kind: str) -> Iterator[Serving]:
    with bucket_of_ones_own(s3) as own:
        stack = Stack(loop, own, folder)
        world = stack.publisher.world(kind=kind)
        inference = stack.start_inference()
        gateway = stack.start_gateway(inference.address)
        stack.refresh(inference, gateway)
        yield Serving(
            stack, world, inference, gateway, stack.steering(gateway), stack.inference(inference)
        )
        stack.close()


@pytest.fixture(scope="module", params=sorted(MODELS))
def serving(
    request: pytest.FixtureRequest,
    loop: Loop,
    s3: S3Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serving]:
    """Both servers with a release of every model family in turn."""
    yield from _serving(loop, s3, tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def sasrec(
    loop: Loop, s3: S3Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """Both servers with a sequential model."""
    yield from _serving(loop, s3, tmp_path_factory.mktemp("serving"), "sasrec")


class Hold:
    """A batch that waits until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()


@pytest.fixture
def hold_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[RunningInference], Hold]]:
    """Makes whoever asks a server's model wait."""
    holds: list[Hold] = []

    def hold(server: RunningInference) -> Hold:
        kept = server.watch.current("default").loaded.representations
        one, of = Hold(), kept.of
        holds.append(one)

        def waiting(subjects: Sequence[Subject]) -> list[Representation]:
            one.entered.set()
            assert one.go.wait(30)
            return of(subjects)

        monkeypatch.setattr(kept, "of", waiting)
        return one

    yield hold
    for one in holds:
        one.go.set()
