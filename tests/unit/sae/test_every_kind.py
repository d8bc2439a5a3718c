"""What holds for every architecture that is trained."""

from __future__ import annotations

import pytest

from reclens.testing.autoencoders import AutoencoderSuite, trained_kinds


@pytest.mark.parametrize("kind", trained_kinds(), scope="class")
class TestEveryKind(AutoencoderSuite):
    """All that come with RecLens."""

    @pytest.fixture(autouse=True)
    def _of_the_kind(self, kind: str) -> None:
        self.kind = kind
        # Matryoshka gives some latents to what its prefixes share.
        self.recovers = 0.94 if kind == "matryoshka" else 0.98
