"""Counts and traces what the model does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time_ns
from typing import TypeVar

from reclens.adapters import telemetry, tracing
from reclens.api.inference.v1 import inference_pb2 as pb

K = TypeVar("K")
A = TypeVar("A")


def observed(
    answer: Callable[[K, Sequence[pb.RankRequest]], Sequence[A]],
) -> Callable[[K, Sequence[pb.RankRequest]], Sequence[A]]:
    """``answer``, with each batch counted, and recorded in the traces of its requests."""

    def answering(served: K, requests: Sequence[pb.RankRequest]) -> Sequence[A]:
        began = time_ns()
        outcomes = answer(served, requests)
        ended = time_ns()
        telemetry.observe_batch(len(requests), (ended - began) / 1e9)
        if tracing.tracing():
            tracing.record_batch([request.traceparent for request in requests], began, ended)
        return outcomes

    return answering
