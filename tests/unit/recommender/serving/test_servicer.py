"""What calling InferenceService takes."""

from __future__ import annotations

from reclens.api.inference.v1 import inference_pb2 as pb
from reclens_recommender.serving.servicer import RULES


def test_every_method_of_the_service_has_a_rule() -> None:
    service = pb.DESCRIPTOR.services_by_name["InferenceService"]
    assert set(RULES) == {method.name for method in service.methods}
