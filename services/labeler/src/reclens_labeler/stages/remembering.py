"""A workbench that computes no keyword label twice: jobs are left and taken up again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from reclens.concepts.keywords import KeywordLabel
from reclens.concepts.labelling import Workbench


@dataclass(frozen=True, eq=False)
class _Remembering(Workbench):
    known: dict[int, KeywordLabel | None] = field(default_factory=dict)

    def keyword_labels(self, latents: Sequence[int]) -> Iterator[KeywordLabel | None]:
        missing = [latent for latent in latents if latent not in self.known]
        fresh = zip(missing, super().keyword_labels(missing), strict=True)
        for latent in latents:
            # Other threads may add some meanwhile.
            while latent not in self.known:
                found, label = next(fresh)
                self.known[found] = label
            yield self.known[latent]


def remembering(workbench: Workbench) -> Workbench:
    """The same workbench, which remembers the keyword labels that it was asked for.

    A shard that waits for a language model is left every so often, and what it knew of its latents
    and of those that lend their labels as a control would else be computed anew each time.
    """
    return _Remembering(**{one.name: getattr(workbench, one.name) for one in fields(workbench)})
