"""Counts and traces what the model does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time_ns
from typing import TypeVar

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens.platform.observability import telemetry, tracing

K = TypeVar("K")
Q = TypeVar("Q", bound=pb.RankRequest | pb.ProposeRequest)
A = TypeVar("A")


def observed(
    answer: Callable[[K, Sequence[Q]], Sequence[A]],
) -> Callable[[K, Sequence[Q]], Sequence[A]]:
    """``answer``, with each batch counted, and recorded in the traces of its requests."""

    def answering(served: K, requests: Sequence[Q]) -> Sequence[A]:
        began = time_ns()
        outcomes = answer(served, requests)
        ended = time_ns()
        telemetry.observe_batch(len(requests), (ended - began) / 1e9)
        if tracing.tracing():
            contexts = [
                request.traceparent if isinstance(request, pb.RankRequest) else ""
                for request in requests
            ]
            tracing.record_batch(contexts, began, ended)
        return outcomes

    return answering
