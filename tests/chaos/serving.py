"""Asks the gateway again and again; each answer must be, whole, that of one version."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from chaos.programs import until
from chaos.world import SERVED, World
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.client import SteeringClient
from reclens.contracts import Release
from reclens.errors import RecLensError

_EVERY_SECONDS = 0.5
_SWAP_SECONDS = 60.0
_ANSWER_SECONDS = 15.0
_QUESTIONS = (
    ("u1", ()),
    ("u2", (pb.Edit(latent=3, add=0.5),)),
    ("u3", (pb.Edit(latent=7, scale=2.0), pb.Edit(latent=11, ablate=pb.Ablate()))),
)

Answer = tuple[str, ...]


@dataclass
class Probe:
    """Knows what each version answers, and compares.

    Use `learn` once, then `asking` around each round.
    """

    world: World
    known: dict[tuple[str, int], Answer] = field(default_factory=dict)
    """The whole answer by version and question."""
    faults: list[str] = field(default_factory=list)
    answers: int = 0
    refusals: int = 0
    _leaving: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def learn(self) -> None:
        """Serve each version in turn and note its answers."""
        with SteeringClient(self.world.gateway, timeout=10) as client:
            for release in self.world.releases:
                publish(self.world, release)
                assert until(lambda v=release.version: _version(client) == v, _SWAP_SECONDS)
                for question in range(len(_QUESTIONS)):
                    version, answer = _ask(client, question)
                    assert version == release.version
                    self.known[version, question] = answer

    def begin(self) -> None:
        """Ask from now on."""
        self.faults, self.answers, self.refusals = [], 0, 0
        self._leaving.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> list[str]:
        """Ask no more; what was wrong with answers."""
        assert self._thread is not None
        # Where serving was away all the time, what was asked last may still be on its way.
        until(lambda: self.answers > 0, _ANSWER_SECONDS)
        self._leaving.set()
        self._thread.join()
        if not self.answers:
            self.faults.append("the gateway gave not one answer")
        return sorted(set(self.faults))

    def _run(self) -> None:
        with SteeringClient(self.world.gateway, timeout=5) as client:
            number = 0
            while not self._leaving.wait(_EVERY_SECONDS):
                number += 1
                question = number % len(_QUESTIONS)
                try:
                    version, answer = _ask(client, question)
                except RecLensError:
                    self.refusals += 1
                    continue
                self.answers += 1
                wanted = self.known.get((version, question))
                if wanted is None:
                    self.faults.append(f"the gateway answered from an unknown version {version}")
                elif wanted != answer:
                    self.faults.append(f"an answer of version {version} is not that version's")

    def serves(self) -> bool:
        """Whether the gateway answers, within a while."""
        with SteeringClient(self.world.gateway, timeout=5) as client:
            return until(lambda: _version(client) != "", _SWAP_SECONDS)


def swap(world: World, seconds: float, leaving: threading.Event) -> None:
    """Publish the two versions in turn for a while."""
    deadline, number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline and not leaving.wait(0.7):
        number += 1
        publish(world, world.releases[number % len(world.releases)])


def publish(world: World, release: Release) -> None:
    """Serve what a release names, from now on."""
    draft = release.model_copy(update={"number": 0, "ordered_at": ""})
    world.store.releases.publish(draft)


def _version(client: SteeringClient) -> str:
    try:
        return _ask(client, 0)[0]
    except RecLensError:
        return ""


def _ask(client: SteeringClient, question: int) -> tuple[str, Answer]:
    user, edits = _QUESTIONS[question]
    answer = client.recommend(user_id=user, edits=edits, release=SERVED)
    versions = answer.versions
    parts = (versions.recommender, versions.autoencoder, versions.concepts)
    items = (f"{item.item_id}={item.score!r}" for item in answer.items)
    return versions.release_version, (*parts, *items)
