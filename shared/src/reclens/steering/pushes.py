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
from reclens.steering.edits import LatentGroup
from reclens.steering.limits import PUSH_LATENTS
from reclens.steering.wire import named_concepts

MAX_CARRIERS = 10_000
"""Items that a push is made from, the more popular ones."""
_CONCURRENT = 2
"""Pushes that are looked for at a time."""

Propose = Callable[[inference.ProposeRequest, float], Awaitable[inference.ProposeResponse]]
"""Asks the inference service, within some seconds."""


@dataclass(frozen=True, eq=False)
class ConceptPush:
    """The direction that adding a concept pushes."""

    group: LatentGroup
    """As latents that move together."""
    shares: tuple[float, ...] = ()
    """The same as weights in a blend of these latents. Empty: these are the concept's own latents,
    as no others were found."""


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
        self.trusted = {one.latent for one in labels if one is not None and one.trusted}
        """Latents whose labels are trusted."""
        self.n_latents = n_latents
        """Latents of the dictionary."""
        self._loaded: dict[str, ConceptPush] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_CONCURRENT)

    def get(self, concept_id: str) -> ConceptPush:
        """The push of a concept that was loaded."""
        return self._loaded[concept_id]

    def pushed(self, concept_id: str) -> LatentGroup:
        """The latents that adding a concept pushes, which were loaded."""
        return self._loaded[concept_id].group

    def own(self, concept_id: str, *, field: str) -> LatentGroup:
        """The latents that carry a concept.

        Raises:
            NotFound: there is no such concept.
        """
        concept = self._concepts.get(concept_id, field=field)
        return LatentGroup(tuple(concept.latents), tuple(concept.weights))

    def missing(self, edits: Iterable[steering.Edit]) -> list[str]:
        """Concepts that edits add and whose push is yet to be loaded, each once."""
        added = [edit for edit in edits if edit.WhichOneof("operation") == "add"]
        return [one for one in named_concepts(added) if one not in self._loaded]

    async def load(
        self, concept_ids: Iterable[str], propose: Propose, deadline: float, timeout: float
    ) -> None:
        """Find what concepts push. Requests for the same concept are coalesced into one.

        Args:
            concept_ids: which.
            propose: asks the inference service.
            deadline: how long to wait, in the event loop's time.
            timeout: seconds that the inference service may take for one.

        Raises:
            NotFound: there is no such concept.
            DeadlineExceeded: they were not known by then.
            RecLensError: the inference service does not answer, or not from this version.
        """
        loading = [
            asyncio.shield(self._task(one, propose, timeout))
            for one in concept_ids
            if one not in self._loaded
        ]
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.gather(*loading)
        except TimeoutError:
            raise DeadlineExceeded(
                "what the concepts push was not found in time.",
                remedy="ask again, with more time: it is found once for each release.",
            ) from None

    def _task(self, concept_id: str, propose: Propose, timeout: float) -> asyncio.Task[None]:
        task = self._loading.get(concept_id)
        if task is None:
            task = asyncio.create_task(self._find(concept_id, propose, timeout))
            self._loading[concept_id] = task
            task.add_done_callback(lambda _: self._loading.pop(concept_id, None))
        return task

    async def _find(self, concept_id: str, propose: Propose, timeout: float) -> None:
        own = self.own(concept_id, field="concept_id")
        async with self._turns:
            rows = await asyncio.to_thread(self._carriers.popular, concept_id, MAX_CARRIERS)
            self._loaded[concept_id] = await self._proposed(
                rows, own, propose, timeout
            ) or ConceptPush(own)

    async def _proposed(
        self, rows: Sequence[int], own: LatentGroup, propose: Propose, timeout: float
    ) -> ConceptPush | None:
        if not rows:
            return None
        request = inference.ProposeRequest(
            release=self._release.name,
            release_version=self._release.version,
            items=rows,
            weights=[1.0] * len(rows),
            latents=sorted(self.trusted.union(own.latents)),
            max_latents=PUSH_LATENTS,
        )
        try:
            found = await propose(request, timeout)
        except InvalidInput:
            # All items carry it, or the dictionary is not of the last site.
            return None
        if not found.latents:
            return None
        group = LatentGroup(tuple(found.latents), tuple(found.weights))
        return ConceptPush(group, tuple(found.shares))
