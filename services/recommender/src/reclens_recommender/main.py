"""Entry point: ``reclens-recommender serve`` and ``reclens-recommender worker``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reclens_recommender.serving.settings import InferenceSettings


def main() -> None:
    """Run the inference server or the Celery worker until it is told to stop."""
    parser = argparse.ArgumentParser(prog="reclens-recommender", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer InferenceService over gRPC")
    commands.add_parser("worker", help="take jobs until told to stop")
    command = parser.parse_args().command
    # Each command imports only its own half: the worker forks, and torch and gRPC must not have
    # been touched before it does.
    if command == "serve":
        from reclens.platform.grpc.processes import run_server  # noqa: PLC0415
        from reclens_recommender.serving.settings import InferenceSettings  # noqa: PLC0415

        run_server("inference", serve_here, InferenceSettings(), "inference")
    else:
        from reclens.contracts import WorkerName  # noqa: PLC0415
        from reclens.platform.celery.worker import run_worker  # noqa: PLC0415

        run_worker(WorkerName.RECOMMENDER, pool="prefork", concurrency=1)


def serve_here(settings: InferenceSettings) -> None:
    """One process of the inference server."""
    from reclens.platform.grpc.processes import run_loop  # noqa: PLC0415
    from reclens_recommender.serving.server import serve  # noqa: PLC0415

    run_loop("inference", lambda: serve(settings))


if __name__ == "__main__":
    main()
