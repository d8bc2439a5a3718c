"""What the gateway and the inference service answer a second, beside a bare ``grpc.aio`` echo.

Real processes over real sockets, all on this machine: an S3 server with a planted release
(``serving_world.py``), the inference service, the gateway, a bare echo server, and for each window
of load a client process (``serving_load.py``). Windows of echo, unsteered and steered requests take
turns, round after round, so that what else the machine does hits all alike; ratios compare windows
of one round. A request asks for the top 10 of a user by id. Kinds of requests:

- echo: the steered request's bytes, given back as they are; the reference of all ratios;
- echo, answer: the same, given back as many bytes as an answer has;
- unsteered, steered: each from another user, so that nothing is remembered of whom it is for; a
  steered one turns up one concept of a dozen latents, another one each time;
- warm: 300 users in turn; 3 edits: two concepts up and down and one silenced; policy: one that is
  stored; history: each with a history of its own of about 100 items instead of a user id.

``cpu_us`` is the CPU time of each process over the requests it answered, which a busy machine
changes less than the rate. On two cores, echo has one for its server and one for its client; three
processes share the same two where a request passes gateway and inference.

The last part offers more than can be answered, at an even rate, whether answers come or not
(``--overload``), to the largest catalogue, where the client is not the limit.

    make bench-serving
    python benchmarks/serving.py --quick
    python benchmarks/serving.py --catalogues 60k --clients 32 --env RECLENS_GATEWAY__PROCESSES=2
    python benchmarks/serving.py --catalogues 1M --env RECLENS_INFERENCE__INDEX=approximate
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

from machine import machine
from serving_load import Job, write_requests
from serving_overload import overload
from serving_processes import echo_server, reclens_servers, run_load, s3_server
from serving_requests import (
    BY_POLICY,
    FURTHER,
    STEERED,
    UNSTEERED,
    create_policy,
    requests_of,
    use_concepts_once,
)
from serving_windows import Windows, Workload, ratios

from reclens.platform.settings.models import StoreSettings
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.objects import S3Store

RESULTS = Path(__file__).parent / "results" / "serving.json"
RECOMMEND = "/reclens.api.steering.v1.SteeringService/Recommend"
CATALOGUES: Final = {"1.7k": 1_700, "3.7k": 3_700, "60k": 60_000, "1M": 1_000_000}
"""Number of items in each catalogue, by its name."""
USERS: Final = {"1.7k": 40_000, "3.7k": 40_000, "60k": 40_000, "1M": 10_000}
LATENTS: Final = {"1.7k": 1024, "3.7k": 1024, "60k": 4096, "1M": 4096}
MAIN_CLIENTS = 32
"""Where the further kinds are measured."""


@dataclass
class Catalogue:
    """One catalogue under test."""

    name: str
    options: argparse.Namespace
    folder: Path
    gateway: str = ""
    servers: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    echo: dict[str, tuple[str, int]] = field(default_factory=dict)

    def window(self, kind: str, clients: int, **changes: Any) -> dict[str, Any]:
        """One window of load of this kind."""
        job = replace(self.job(kind, clients), **changes)
        result = run_load(job)
        self.used[kind] = job.first + result["sent"]
        return result

    def job(self, kind: str, clients: int) -> Job:
        """The load of this kind, from where the last one ended."""
        options = self.options
        if kind in self.echo:
            target, pid = self.echo[kind]
            method = "/echo/Answer" if "answer" in kind else "/echo/Same"
            watch, requests = {"echo": pid}, self.files["steered"]
        else:
            target, method, watch = self.gateway, RECOMMEND, self.servers
            requests = self.files[kind]
        # All cold kinds walk through the same users: none has been asked for lately.
        first = max(self.used.values(), default=0)
        return Job(
            target=target,
            method=method,
            requests=str(requests),
            clients=clients,
            warm_up=options.warm_up,
            seconds=options.seconds,
            first=first,
            watch=watch,
        )


def measure(name: str, options: argparse.Namespace, windows: Windows) -> dict[str, Any]:
    """All windows of one catalogue; what is to be said of it."""
    from serving_world import Catalogue as Sizes
    from serving_world import publish_world

    notes: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reclens-bench-")))
        began = time.monotonic()
        s3 = stack.enter_context(s3_server(folder / "s3"))
        settings = StoreSettings(s3=s3, cache_dir=folder / "made")
        S3Store.from_settings(settings).ensure_bucket()
        store = ArtifactStore.from_settings(settings)
        sizes = Sizes(CATALOGUES[name], USERS[name], LATENTS[name], options.model)
        world = publish_world(store, folder / "world", sizes)
        published = time.monotonic()
        catalogue = Catalogue(name, options, folder)
        catalogue.gateway, catalogue.servers = stack.enter_context(
            reclens_servers(folder, s3, dict(options.env))
        )
        notes["setup_seconds"] = {
            "publish": round(published - began, 1),
            "serve": round(time.monotonic() - published, 1),
        }
        kinds = [UNSTEERED, STEERED, *([] if options.quick else FURTHER)]
        use_concepts_once(catalogue.gateway, world)
        refusal = "" if options.quick else create_policy(catalogue.gateway, world)
        if not options.quick and not refusal:
            kinds.append(BY_POLICY)
        if refusal:
            notes["policy"] = f"not measured: {refusal}"
        for kind in kinds:
            catalogue.files[kind.name] = folder / f"{kind.name}.requests"
            write_requests(catalogue.files[kind.name], requests_of(world, kind))
        answer_bytes = catalogue.window("steered", 1, warm_up=0.2, seconds=0.5)["response_bytes"]
        notes["answer_bytes"] = answer_bytes
        answer = bytes(answer_bytes)
        catalogue.echo["echo"] = stack.enter_context(echo_server(_made(folder / "a"), answer))
        catalogue.echo["echo, answer"] = catalogue.echo["echo"]
        if _has_uvloop():
            catalogue.echo["echo, uvloop"] = stack.enter_context(
                echo_server(_made(folder / "b"), answer, uvloop=True)
            )
        _rounds(catalogue, [kind.name for kind in kinds], windows)
        if name == options.overload:
            notes["overload"] = overload(catalogue.window, "steered", say)
    return notes


def _rounds(catalogue: Catalogue, kinds: list[str], windows: Windows) -> None:
    options = catalogue.options
    main = MAIN_CLIENTS if MAIN_CLIENTS in options.clients else max(options.clients)
    for i in range(options.rounds):
        for clients in options.clients:
            turn = ["echo", "unsteered", "steered"]
            if clients == main and not options.quick:
                turn += [kind for kind in (*kinds, *catalogue.echo) if kind not in turn]
            for kind in turn:
                workload = Workload(catalogue.name, kind, clients)
                show(workload, windows.add(workload, catalogue.window(kind, clients)), i)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _has_uvloop() -> bool:
    import importlib.util

    return importlib.util.find_spec("uvloop") is not None


def show(workload: Workload, row: dict[str, Any], number: int | None = None) -> None:
    """Print one line of the table."""
    costs = "  ".join(f"{name} {cost:,.0f}" for name, cost in row["cpu_us"].items())
    say(
        f"{'' if number is None else number + 1:>2} {workload.catalogue:<5} {workload.kind:<20} "
        f"{workload.clients:>4} {row['rate']:>8,.0f}/s   p50 {row['p50_ms']:>7.2f}  "
        f"p99 {row['p99_ms']:>7.2f} ms   CPU us: {costs}"
        + (f"   {row['codes']}" if row.get("codes") else "")
    )


def say(line: str) -> None:
    """Print a line, and flush it."""
    print(line, flush=True)  # noqa: T201 - a command


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--catalogues", nargs="+", choices=CATALOGUES, default=list(CATALOGUES))
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 32, 128])
    parser.add_argument("--model", choices=["sasrec", "bprmf"], default="sasrec")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="length of a window")
    parser.add_argument("--warm-up", type=float, default=1, help="seconds before each window")
    parser.add_argument(
        "--overload",
        choices=[*CATALOGUES, "none"],
        help="catalogue that is offered more than it can answer; default: the largest, with "
        "--quick none",
    )
    parser.add_argument(
        "--env",
        nargs="+",
        action="extend",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="further settings of both servers",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of 2 s windows, fewer kinds"
    )
    parser.add_argument("--limit", type=int, default=5400, help="seconds after which all is ended")
    parser.add_argument("--output", type=Path, help="default: results/serving.json; --quick: none")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 2)
    if options.overload is None and not options.quick:
        options.overload = max(options.catalogues, key=CATALOGUES.__getitem__)
    if options.output is None and not options.quick:
        options.output = RESULTS
    return options


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _end(number: int, _frame: FrameType | None) -> None:
    # Raised in the main thread, so that every block is left and every process ended.
    raise SystemExit(f"ended by {signal.Signals(number).name}")


def main() -> None:
    options = parse()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _end)
    signal.alarm(options.limit)
    windows = Windows()
    notes = {name: measure(name, options, windows) for name in options.catalogues}
    signal.alarm(0)
    found = ratios(windows, options.catalogues, options.clients)
    say("\nMedians over rounds")
    for workload in windows.taken:
        show(workload, windows.row(workload))
    say("")
    for name, value in found.items():
        say(f"{name:<58} {value:>8}")
    if options.output is None:
        return
    result = {
        "machine": machine(threads=os.cpu_count() or 1),
        "setting": {
            "model": options.model,
            "items": {name: CATALOGUES[name] for name in options.catalogues},
            "users": {name: USERS[name] for name in options.catalogues},
            "latents": {name: LATENTS[name] for name in options.catalogues},
            "rounds": options.rounds,
            "seconds": options.seconds,
            "env": {name: value for name, value in options.env if name.startswith("RECLENS_")},
        },
        "rows": windows.rows(),
        "catalogues": notes,
        "ratios": found,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
