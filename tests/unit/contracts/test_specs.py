"""Specifications: closed to unknown fields, and named by their content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reclens.contracts import (
    ArtifactKind,
    AutoencoderConfig,
    AutoencoderSpec,
    ConceptsOptions,
    DatasetSpec,
    PipelineSpec,
    RecommenderSpec,
    ReleaseSpec,
    SplitSpec,
    split_ref,
)
from reclens.errors import InvalidInput, InvalidSpec

DATASET = "datasets/0123456789abcdef"


def test_unknown_field_is_refused_by_its_dotted_path():
    with pytest.raises(InvalidSpec) as caught:
        PipelineSpec.parse({"recommender": {"model": {"kind": "sasrec", "depth": 3}}})
    assert caught.value.field == "recommender.model.sasrec.depth"
    assert "Extra inputs" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"datset": {}}, "datset: Extra inputs are not permitted (did you mean dataset?)"),
        (
            {"dataset": {"source": {"format": "table", "path": "x", "columns": {"titel": "t"}}}},
            "did you mean title",
        ),
        ({"recommender": {"model": {"kind": "sasrec", "max_len": 3}}}, "did you mean max_length"),
    ],
)
def test_an_unknown_field_suggests_those_that_are_spelt_alike(given: dict[str, Any], told: str):
    with pytest.raises(InvalidSpec) as caught:
        PipelineSpec.parse(given)
    assert told in str(caught.value)


def test_every_problem_of_a_specification_is_reported_at_once():
    with pytest.raises(InvalidSpec) as caught:
        PipelineSpec.parse({"relase": "x", "dataset": {"k_core": 0}})
    assert "relase" in str(caught.value)
    assert "dataset.k_core" in str(caught.value)


def test_a_data_set_that_is_not_built_in_needs_a_source():
    with pytest.raises(InvalidSpec, match="source"):
        DatasetSpec.parse({"name": "my-shop"})


def test_a_built_in_data_set_has_defaults_of_its_own_that_the_id_pins():
    short = DatasetSpec(name="ml-1m")
    assert (short.min_rating, short.k_core) == (4, 5)
    assert (short.split.kind, short.split.share_of) == ("global-time", "days")
    written_out = DatasetSpec.parse(json.dumps(short.canonical()))
    assert written_out.artifact_ref() == short.artifact_ref()


@pytest.mark.parametrize(
    ("given", "kind", "k_core"),
    [
        ({}, "ratio", 5),
        ({"k_core": 1}, "ratio", 1),
        ({"split": {"seed": 3}}, "ratio", 5),
        ({"split": {"kind": "global-time"}}, "global-time", 5),
        ({"source": {"format": "hetrec", "path": "x"}}, "leave-one-out", 1),
    ],
)
def test_what_is_given_comes_before_the_defaults_of_a_built_in_data_set(
    given: dict[str, object], kind: str, k_core: int
):
    spec = DatasetSpec.parse({"name": "lastfm-2k", **given})
    assert (spec.split.kind, spec.k_core) == (kind, k_core)


def test_a_split_given_as_a_value_is_completed_too():
    spec = DatasetSpec(name="lastfm-2k", split=SplitSpec(seed=3))
    assert (spec.split.kind, spec.split.seed) == ("ratio", 3)
    assert DatasetSpec(name="lastfm-2k", split=SplitSpec(kind="ratio")).split.kind == "ratio"


def test_k_above_the_number_of_latents_is_refused():
    with pytest.raises(ValueError, match="exceeds n_latents"):
        AutoencoderConfig(n_latents=8, k=9)


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 1.0},
        {"train": 0.7, "construct": 0.1, "verify": 0.1, "test": 0.2},
        {"train": 1.0, "construct": 0.0, "verify": 0.0, "test": 0.0},
    ],
)
def test_shares_must_be_complete_positive_and_sum_to_one(shares: dict[str, float]):
    with pytest.raises(InvalidSpec) as caught:
        PipelineSpec.parse({"activations": {"shares": shares}})
    assert caught.value.field == "activations.shares"


def test_defaults_written_out_give_the_same_id():
    short = RecommenderSpec.parse({"dataset": DATASET})
    full = RecommenderSpec.parse(json.dumps(short.canonical()))
    assert full.artifact_ref() == short.artifact_ref()


def test_any_change_of_a_value_changes_the_id():
    base = RecommenderSpec.parse({"dataset": DATASET})
    assert base.model_copy(update={"seed": 1}).artifact_ref() != base.artifact_ref()


def test_stages_with_equal_fields_have_different_ids_and_folders():
    plan = PipelineSpec().plan()
    assert len({stage.artifact for stage in plan}) == len(plan)
    assert plan[0].artifact.startswith("datasets/")


def test_a_plan_feeds_each_stage_with_the_one_before():
    stages = {stage.name: stage for stage in PipelineSpec(release="demo").plan()}
    assert stages["recommender"].spec["dataset"] == stages["dataset"].artifact
    assert stages["activations"].spec["recommender"] == stages["recommender"].artifact
    assert stages["autoencoder"].spec["activations"] == stages["activations"].artifact
    assert stages["concepts"].spec["autoencoder"] == stages["autoencoder"].artifact
    assert stages["release"].artifact == "releases/demo"


def test_changing_an_early_stage_renames_everything_after_it_and_nothing_before():
    base = PipelineSpec().plan()
    other = PipelineSpec.parse({"recommender": {"seed": 7}}).plan()
    changed = [a.name for a, b in zip(base, other, strict=True) if a.artifact != b.artifact]
    assert changed == ["recommender", "activations", "autoencoder", "concepts"]


def test_a_release_version_depends_on_its_parts_and_not_on_its_name():
    parts = {
        "recommender": "recommenders/0000000000000001",
        "autoencoder": "autoencoders/0000000000000002",
        "concepts": "concepts/0000000000000003",
    }
    assert ReleaseSpec(name="a", **parts).version() == ReleaseSpec(name="b", **parts).version()
    other = {**parts, "concepts": "concepts/0000000000000004"}
    assert ReleaseSpec(name="a", **parts).version() != ReleaseSpec(name="a", **other).version()


@given(st.text(max_size=40))
def test_text_that_is_no_reference_is_refused(text: str):
    with pytest.raises(InvalidInput) as caught:
        split_ref(text)
    assert caught.value.field == "artifact"


@given(st.sampled_from(ArtifactKind), st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_a_reference_is_a_known_kind_and_sixteen_digits(kind: ArtifactKind, digits: str):
    assert split_ref(f"{kind.value}/{digits}") == (kind, digits)


def test_a_reference_of_the_wrong_form_is_named_in_a_specification():
    with pytest.raises(InvalidSpec) as caught:
        AutoencoderSpec.parse({"activations": "activations/../../etc"})
    assert caught.value.field == "activations"


def test_a_judging_model_must_have_room_for_its_grades():
    llm = {"n_judged": 50, "max_tokens": 100}
    with pytest.raises(InvalidSpec, match="give at least 338"):
        ConceptsOptions.parse({"judges": ["keywords", "llm"], "llm": llm})
    ConceptsOptions.parse({"judges": ["keywords"], "llm": llm})


def test_a_judge_is_named_once():
    with pytest.raises(InvalidSpec, match="once"):
        ConceptsOptions.parse({"judges": ["llm", "llm"]})


def test_an_error_is_short_whatever_was_sent():
    with pytest.raises(InvalidSpec) as caught:
        SplitSpec.parse({"kind": "x" * 10_000} | {"y" * 9_000 + str(n): 0 for n in range(500)})
    assert len(str(caught.value)) < 20_000
    assert "more" in str(caught.value)


@pytest.mark.parametrize("rating", [float("nan"), float("inf")])
def test_numbers_are_finite(rating: float):
    source = {"format": "table", "path": "x"}
    with pytest.raises(InvalidSpec, match="finite"):
        DatasetSpec.parse({"name": "own", "source": source, "min_rating": rating})


def test_whole_numbers_have_64_bits():
    with pytest.raises(InvalidSpec, match="64 bits"):
        RecommenderSpec.parse({"dataset": DATASET, "seed": 1 << 63})
    assert RecommenderSpec.parse({"dataset": DATASET, "seed": (1 << 63) - 1}).seed
