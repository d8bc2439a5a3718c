"""What adding a concept pushes: latents that raise its items, found when it is first added."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.catalog.carriers import ConceptCarriers
from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.contracts import Release
from reclens.errors import DeadlineExceeded, InvalidInput

PUSH_LATENTS = 16
"""Latents of one push. More bring next to nothing, see docs/explanation/steering.md."""
MAX_CARRIERS = 10_000
"""Items that a push is made from, the more popular ones."""
_AT_A_TIME = 2

Propose = Callable[[inference.ProposeRequest, float], Awaitable[inference.ProposeResponse]]
"""Asks the inference service, within some seconds."""


@dataclass(frozen=True, eq=False)
class ConceptPush:
    """The direction that is added, as latents."""

    latents: Sequence[int]
    """Latents, at least one."""
    weights: Sequence[float]
    """Weight of each within one group, see ``LatentGroup.weights`` of the inference service."""
    shares: Sequence[float] = ()
    """The same as shares of a blend of latents. None: these are the concept's own latents, as no
    others were found."""


class ConceptPushes:
    """The pushes of one version of a release, kept once they are known.

    The labels of a concept's own latents say when they fire, not what they raise. So what is
    pushed is the proposal for the items that carry the concept, of latents whose labels are
    trusted and its own. Where there is none (no item carries it, or all do, or no such latent
    moves towards them), its own latents are pushed.
    """

    def __init__(
        self, release: Release, concepts: ConceptIndex, carriers: ConceptCarriers, n_latents: int
    ) -> None:
        self._release = release
        self._concepts = concepts
        self._carriers = carriers
        labels = map(concepts.label, range(n_latents))
        self._trusted = {one.latent for one in labels if one is not None and one.trusted}
        self._known: dict[str, ConceptPush] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    def known(self, concept_id: str) -> ConceptPush:
        """The push of a concept that was learnt, see `learn`."""
        return self._known[concept_id]

    def own(self, concept_id: str, *, field: str) -> ConceptPush:
        """A concept's own latents.

        Raises:
            NotFound: there is no such concept.
        """
        concept = self._concepts.get(concept_id, field=field)
        return ConceptPush(concept.latents, concept.weights)

    def missing(self, edits: Iterable[steering.Edit]) -> list[str]:
        """Concepts that edits add and whose push is yet to be learnt, each once."""
        missing: dict[str, None] = {}
        for edit in edits:
            if edit.WhichOneof("operation") != "add":
                continue
            if edit.concept_id:
                if edit.concept_id not in self._known:
                    missing[edit.concept_id] = None
            elif edit.HasField("blend"):
                named = (part.concept_id for part in edit.blend.parts if part.concept_id)
                missing.update((one, None) for one in named if one not in self._known)
        return list(missing)

    async def learn(
        self, concept_ids: Iterable[str], propose: Propose, deadline: float, patience: float
    ) -> None:
        """Learn what concepts push. Whoever asks for the same one meanwhile waits for the same.

        Args:
            concept_ids: which.
            propose: asks the inference service.
            deadline: how long to wait, in the event loop's time.
            patience: seconds that the inference service may take for one.

        Raises:
            NotFound: there is no such concept.
            DeadlineExceeded: they were not known by then.
            RecLensError: the inference service does not answer, or not from this version.
        """
        waited_for = [
            asyncio.shield(self._task(one, propose, patience))
            for one in concept_ids
            if one not in self._known
        ]
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.gather(*waited_for)
        except TimeoutError:
            raise DeadlineExceeded(
                "what the concepts push was not found in time.",
                remedy="ask again, with more time: it is found once for each release.",
            ) from None

    def _task(self, concept_id: str, propose: Propose, patience: float) -> asyncio.Task[None]:
        task = self._asked.get(concept_id)
        if task is None:
            task = asyncio.create_task(self._find(concept_id, propose, patience))
            self._asked[concept_id] = task
            task.add_done_callback(lambda _: self._asked.pop(concept_id, None))
        return task

    async def _find(self, concept_id: str, propose: Propose, patience: float) -> None:
        own = self.own(concept_id, field="concept_id")
        async with self._turns:
            rows = await asyncio.to_thread(self._carriers.popular, concept_id, MAX_CARRIERS)
            self._known[concept_id] = await self._proposed(rows, own, propose, patience) or own

    async def _proposed(
        self, rows: Sequence[int], own: ConceptPush, propose: Propose, patience: float
    ) -> ConceptPush | None:
        if not rows:
            return None
        question = inference.ProposeRequest(
            release=self._release.name,
            release_version=self._release.version,
            items=rows,
            weights=[1.0] * len(rows),
            latents=sorted(self._trusted.union(own.latents)),
            max_latents=PUSH_LATENTS,
        )
        try:
            found = await propose(question, patience)
        except InvalidInput:
            # All items carry it, or the dictionary is not of the last site.
            return None
        if not found.latents:
            return None
        return ConceptPush(tuple(found.latents), tuple(found.weights), tuple(found.shares))
