"""Answers requests together, and makes sure that one that fails fails alone."""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns
from typing import TypeAlias

import structlog

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.errors import InternalError, RecLensError
from reclens.platform.observability import metrics, tracing
from reclens.platform.store.release_watch import Served
from reclens.rpc_status import write_failure
from reclens_recommender.serving.queries import RankQuery, item_rows, query_of, rank
from reclens_recommender.serving.served_model import ServedModel

logger = structlog.get_logger(__name__)


Request: TypeAlias = pb.RankRequest | pb.ProposeRequest
Outcome: TypeAlias = pb.RankOutcome | pb.ProposeResponse | RecLensError


def answer_observed(served: Served[ServedModel], requests: Sequence[Request]) -> list[Outcome]:
    """`answer`, with the batch counted, and recorded in the traces of its requests."""
    began = time_ns()
    outcomes = answer(served, requests)
    ended = time_ns()
    metrics.current().batch_size.observe(len(requests))
    metrics.current().batch_seconds.observe((ended - began) / 1e9)
    if tracing.tracing():
        contexts = [
            request.traceparent if isinstance(request, pb.RankRequest) else ""
            for request in requests
        ]
        tracing.record_batch(contexts, began, ended)
    return outcomes


def answer(served: Served[ServedModel], requests: Sequence[Request]) -> list[Outcome]:
    """The outcome of each request, from one version of a release."""
    model = served.loaded
    outcomes: dict[int, Outcome] = {}
    to_rank: dict[int, tuple[RankQuery, str]] = {}
    for place, request in enumerate(requests):
        if isinstance(request, pb.ProposeRequest):
            outcomes[place] = _proposal(model, request)
            continue
        try:
            to_rank[place] = query_of(model, request), request.request_id
        except RecLensError as error:
            outcomes[place] = failure_of(error)
    if len(to_rank) > 1:
        try:
            answered = _together(model, [query for query, _ in to_rank.values()])
            outcomes |= zip(to_rank, answered, strict=True)
            to_rank = {}
        except RecLensError as error:
            logger.info("batch is answered one by one", error=error.sentence)
        except Exception:
            logger.exception("batch is answered one by one")
    outcomes |= {place: _alone(model, *one) for place, one in to_rank.items()}
    return [outcomes[place] for place in range(len(requests))]


def _proposal(model: ServedModel, request: pb.ProposeRequest) -> Outcome:
    try:
        items = item_rows(request.items, model.dataset.n_items, "items")
        # One that never fired is not pushed: it has no unit.
        named = model.steering.without_dead(request.latents)
        if request.latents and not named:
            return pb.ProposeResponse()
        proposal = model.proposer.propose(
            items.tolist(),
            list(request.weights),
            latents=named or None,
            max_latents=request.max_latents,
        )
    except RecLensError as error:
        return error
    except Exception:
        # Others are answered with it.
        logger.exception("proposal failed")
        return InternalError(
            "the server failed on a proposal.", remedy="look into the server's log."
        )
    return pb.ProposeResponse(
        latents=proposal.latents,
        shares=proposal.shares,
        alignment=proposal.alignment,
        weights=model.steering.group_weights(proposal.latents, proposal.shares),
    )


def _together(model: ServedModel, queries: Sequence[RankQuery]) -> list[pb.RankOutcome]:
    return [pb.RankOutcome(response=response) for response in rank(model, queries)]


def _alone(model: ServedModel, query: RankQuery, request_id: str) -> pb.RankOutcome:
    try:
        return _together(model, [query])[0]
    except RecLensError as error:
        return failure_of(error)
    except Exception:
        logger.exception("request failed", request_id=request_id)
        return failure_of(
            InternalError(
                f"the server failed on request {request_id}.",
                remedy="look for that id in the server's log.",
            )
        )


def failure_of(error: RecLensError) -> pb.RankOutcome:
    """The outcome of an entry that was refused."""
    outcome = pb.RankOutcome()
    write_failure(error, outcome.failure)
    return outcome
