"""Tags planted in one latent, spread over dimensions, or nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reclens.data.dataset import Items
from reclens.evaluation import probing
from reclens.evaluation.probing import ProbedCases, probe_tags

N_LATENTS, N_DIMENSIONS = 12, 6
PLANTED = 7


def items() -> Items:
    """All eight items carry ``All``, half carry ``Planted``, the last, which is never on top,
    carries ``Rare``."""
    tags = [["All", "Planted"] if item < 4 else ["All"] for item in range(8)]
    tags[7].append("Rare")
    return Items(
        ids=[str(item) for item in range(8)],
        titles=[""] * 8,
        tags=tags,
        years=[None] * 8,
        popularity=np.ones(8, np.int32),
    )


def side(rng: np.random.Generator, n: int = 400) -> ProbedCases:
    top = rng.integers(7, size=n)
    codes = (rng.random((n, N_LATENTS)) < 0.3) * rng.random((n, N_LATENTS))
    codes[:, PLANTED] = np.where(top < 4, 1 + rng.random(n), 0)
    raw = rng.normal(size=(n, N_DIMENSIONS)) + 0.7 * (top < 4)[:, None]
    return ProbedCases(sparse.csr_matrix(codes), raw, top)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "MIN_TAGS", 1)
        return probe_tags(side(rng), side(rng), items(), seed=0)


def test_too_few_usable_tags_are_not_probed() -> None:
    rng = np.random.default_rng(0)
    few = probe_tags(side(rng), side(rng), items(), seed=0)
    assert few["usable"] == 1
    assert few["tags"] == 0
    assert few["by_tag"] == []


def test_a_placeholder_is_no_usable_tag(monkeypatch) -> None:
    monkeypatch.setattr(probing, "MIN_TAGS", 1)
    # Four of seven items on top carry ``Planted``: 57 % of the cases.
    monkeypatch.setattr(probing, "MAX_SHARE", 0.5)
    rng = np.random.default_rng(0)
    assert probe_tags(side(rng), side(rng), items(), seed=0)["usable"] == 0


def test_only_tags_that_some_cases_have_and_some_lack(found) -> None:
    assert [one["tag"] for one in found["by_tag"]] == ["Planted"]
    assert found["tags"] == 1


def test_one_latent_tells_what_takes_all_dimensions(found) -> None:
    (one,) = found["by_tag"]
    assert one["latent"] == PLANTED
    assert found["auroc"]["latents"]["1"] == 1
    # One dimension is shifted by 0.7 deviations: AUROC Φ(0.7/√2) = .69; six of them Φ(1.21) = .89.
    assert found["auroc"]["dimensions"]["1"] == pytest.approx(0.69, abs=0.06)
    assert found["auroc"]["full"] == pytest.approx(0.89, abs=0.04)


def test_sampling_keeps_codes_and_representations_together(monkeypatch) -> None:
    monkeypatch.setattr(probing, "MAX_CASES", 50)
    whole = side(np.random.default_rng(1), n=300)
    whole.top[:100] = -1
    part = whole.sample(np.random.default_rng(2))
    assert len(part.top) == 50
    rows = [int(np.nonzero((whole.raw == row).all(axis=1))[0][0]) for row in part.raw]
    assert min(rows) >= 100, "a case without an answer cannot have a tag"
    assert rows == sorted(rows)
    assert (part.codes.toarray() == whole.codes.toarray()[rows]).all()
    assert part.top.tolist() == whole.top[rows].tolist()


def test_data_without_tags_give_nothing() -> None:
    bare = items()
    bare.tags[:] = [[] for _ in range(8)]
    rng = np.random.default_rng(0)
    found = probe_tags(side(rng), side(rng), bare, seed=0)
    assert found["tags"] == 0
    assert found["auroc"]["full"] is None
