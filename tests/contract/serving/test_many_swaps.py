"""Two hundred releases under load: no request fails, and no answer mixes two of them."""

from __future__ import annotations

import threading
from collections import Counter

import grpc

from reclens.api.steering.v1 import steering_pb2 as pb

N_SWAPS, N_ASKERS = 200, 2
_PAUSE_SECONDS = 0.01
STEERED = pb.RecommendRequest(
    subject=pb.Subject(user_id="user-0"),
    top_k=20,
    edits=[pb.Edit(concept_id="film-noir", add=0.5)],
    include_baseline=True,
    explain=True,
)


def content(answer: pb.RecommendResponse) -> bytes:
    """Everything that is answered but the request's id."""
    answer.request_id = ""
    return answer.SerializeToString(deterministic=True)


def test_two_hundred_swaps_lose_no_request_and_mix_no_versions(stack) -> None:
    # Three in turn, so that none is still there from before and each swap loads anew.
    worlds = [stack.publisher.world(seed=seed) for seed in range(3)]
    server = stack.start_inference()
    gateway = stack.start_gateway(server.address)
    stub = stack.steering(gateway)
    truth: dict[str, bytes] = {}
    for world in worlds:
        stack.publisher.store.releases.publish(world.release)
        stack.refresh(server, gateway)
        truth[world.release.version] = content(stub.Recommend(STEERED))
    assert len(set(truth.values())) == 3

    done = threading.Event()
    problems: list[str] = []
    served: Counter[str] = Counter()

    def ask() -> None:
        # Some thirty requests a swap. As many as there can be would only make each swap wait.
        while not done.wait(_PAUSE_SECONDS):
            try:
                answer = stub.Recommend(STEERED, timeout=30)
            except grpc.RpcError as error:
                problems.append(str(error))
                return
            version = answer.versions.release_version
            served[version] += 1
            if content(answer) != truth[version]:
                problems.append(f"the answer of {version} is not what it alone answers")
                return

    askers = [threading.Thread(target=ask) for _ in range(N_ASKERS)]
    for asker in askers:
        asker.start()
    try:
        for swap in range(N_SWAPS):
            stack.publisher.store.releases.publish(worlds[swap % 3].release)
            # Either side may see the pointer first.
            stack.refresh(*((gateway, server) if swap % 2 else (server, gateway)))
            if problems:
                break
    finally:
        done.set()
        for asker in askers:
            asker.join()
    assert problems == []
    assert set(served) == set(truth)
    assert sum(served.values()) > N_SWAPS
