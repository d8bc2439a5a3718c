"""No request, however strange, makes the server fail or answer what was not asked."""

from __future__ import annotations

import math

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reclens.api.steering.v1 import steering_pb2 as pb

FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBER = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-2, 2)
UINT = st.integers(0, 40) | st.integers(0, 2**32 - 1)
CONCEPT = st.sampled_from(["film-noir", "comedy", "western", "never"]) | TEXT
RELEASE = st.sampled_from(["", "default"]) | TEXT

EDIT = st.builds(
    lambda target, operation: pb.Edit(**target, **operation),
    st.fixed_dictionaries({})
    | st.fixed_dictionaries({"latent": UINT})
    | st.fixed_dictionaries({"concept_id": CONCEPT}),
    st.one_of(
        st.just({}),
        st.just({"ablate": pb.Ablate()}),
        *(st.fixed_dictionaries({name: NUMBER}) for name in ("set", "scale", "add")),
    ),
)
ITEM = st.builds("item-{}".format, st.integers(0, 45)) | TEXT
SUBJECT = st.one_of(
    st.just(pb.Subject()),
    st.builds(lambda u: pb.Subject(user_id=f"user-{u}"), st.integers(0, 14)),
    st.builds(lambda t: pb.Subject(user_id=t), TEXT),
    st.builds(
        lambda ids: pb.Subject(history=pb.ItemHistory(item_ids=ids)), st.lists(ITEM, max_size=50)
    ),
)
RECOMMEND = st.builds(
    pb.RecommendRequest,
    release=RELEASE,
    subject=SUBJECT,
    top_k=UINT,
    include_seen=st.booleans(),
    edits=st.lists(EDIT, max_size=6),
    mode=st.integers(0, 4),
    include_baseline=st.booleans(),
    explain=st.booleans(),
    request_id=TEXT,
)
REQUESTS = st.one_of(
    st.tuples(st.just("Recommend"), RECOMMEND),
    st.tuples(
        st.just("BatchRecommend"),
        st.builds(pb.BatchRecommendRequest, requests=st.lists(RECOMMEND, max_size=4)),
    ),
    st.tuples(
        st.just("Explain"),
        st.builds(pb.ExplainRequest, release=RELEASE, subject=SUBJECT, top_k=UINT),
    ),
    st.tuples(
        st.just("ListConcepts"),
        st.builds(
            pb.ListConceptsRequest,
            release=RELEASE,
            page_size=UINT,
            page_token=TEXT | st.just("bnVsbA==") | st.just("WzEsMiwzXQ=="),
            min_confidence=st.floats(width=32),
        ),
    ),
    st.tuples(st.just("GetConcept"), st.builds(pb.GetConceptRequest, concept_id=CONCEPT)),
    st.tuples(
        st.just("SearchConcepts"),
        st.one_of(
            st.builds(pb.SearchConceptsRequest, text=TEXT, page_size=UINT),
            st.builds(pb.SearchConceptsRequest, item_id=ITEM, page_token=TEXT),
            st.builds(pb.SearchConceptsRequest, user_id=TEXT),
        ),
    ),
    st.tuples(st.just("GetRelease"), st.builds(pb.GetReleaseRequest, name=TEXT)),
    st.tuples(st.just("ListReleases"), st.builds(pb.ListReleasesRequest, page_token=TEXT)),
)


def check_answer(request: pb.RecommendRequest, answer: pb.RecommendResponse) -> None:
    """What was answered is what was asked, in finite numbers."""
    assert len(answer.items) <= (request.top_k or 10)
    assert all(math.isfinite(item.score) for item in answer.items)
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= answer.effect.overlap <= 1
    assert len({idle.index for idle in answer.effect.idle_edits}) <= len(request.edits)
    if not request.edits and request.mode < pb.STEERING_MODE_RECONSTRUCT:
        assert [item.rank for item in answer.items] == [i.baseline_rank for i in answer.items]


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(asked=REQUESTS)
def test_no_request_makes_the_server_fail(sasrec, asked) -> None:
    method, request = asked
    call = getattr(sasrec.steering, method).future(request, timeout=20)
    assert call.code() not in FAULTS, call.details()
    if call.code() is not grpc.StatusCode.OK:
        return
    answer = call.result()
    if method == "Recommend":
        check_answer(request, answer)
    if method == "BatchRecommend":
        assert len(answer.outcomes) == len(request.requests)
        for entry, outcome in zip(request.requests, answer.outcomes, strict=True):
            if outcome.WhichOneof("outcome") == "response":
                check_answer(entry, outcome.response)
            else:
                assert outcome.failure.code in {3, 5, 9}
