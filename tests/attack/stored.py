"""Forged objects: manifests, releases, policies, corrections, pointers to checkpoints."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from attack.jobs import await_ends
from attack.oracle import Report
from attack.target import ESCAPED, Target
from attack.values import HostileJson, case_rng
from reclens.client import SteeringClient
from reclens.contracts import job_kinds, sha256_hex
from reclens.platform.jobs.app import make_app
from reclens.platform.store.label_corrections import CorrectionLog
from reclens.platform.store.policy_log import PolicyLog

ATTACK = "stored"
_NAMES = (
    *(f"../{ESCAPED}", f"/{ESCAPED}", f"a/../../{ESCAPED}", f"..\\{ESCAPED}", ".", "..", ""),
    *(
        "manifest.json",
        "A/b",
        "a/B",
        "-rf",
        ".hidden",
        "x" * 300,
        "a\0b",
        "\x1b[2J",
        "dataset.json",
    ),
)


def run(target: Target, seed: int, numbers: range) -> Report:
    """Forge the objects of these cases and let all who read them do so."""
    report = Report(ATTACK)
    jobs: dict[str, int] = {}
    forgeries = [_manifest, _release, _policy, _correction, _checkpoint]
    for number in numbers:
        rng = case_rng(seed, ATTACK, number)
        forge = rng.choice(forgeries)
        report.note(number, f"forged {forge.__name__.removeprefix('_')}")
        forge(target, rng, report, number, jobs)
    await_ends(target, report, jobs)
    _served(target, report, numbers[-1])
    return report


def _bytes(rng: random.Random, hostile: HostileJson, good: Any) -> bytes:
    """What is stored: mostly JSON that was changed, seldom bytes that are none."""
    if rng.random() < 0.1:
        return rng.choice((b"", hostile.noise(), b"[" * 50_000, json.dumps([0] * 200_000).encode()))
    return json.dumps(hostile.mutated(good)).encode()


def _try(report: Report, number: int, read: Callable[[], Any]) -> None:
    """Read what was forged; an error must be a deliberate one."""
    try:
        read()
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        report.refused(number, error)


def _submit(target: Target, task: str, spec: dict[str, Any], jobs: dict[str, int], n: int) -> None:
    job_id = str(uuid.uuid4())
    make_app(target.redis.settings).send_task(task, kwargs={"spec": spec}, task_id=job_id)
    jobs[job_id] = n


def _damaged(rng: random.Random, data: bytes, hostile: HostileJson) -> bytes:
    """An object as a forger may leave it: other bytes, some of them, or JSON that says other."""
    kind = rng.randrange(4)
    if kind == 0 or not data:
        return rng.randbytes(rng.choice((0, 7, len(data))))
    if kind == 1:
        return data[: rng.randrange(len(data))]
    if kind == 2 and data.startswith(b"{"):
        return json.dumps(hostile.mutated(json.loads(data))).encode()
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 8, 64))):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


def _manifest(
    target: Target, rng: random.Random, report: Report, number: int, jobs: dict[str, int]
) -> None:
    """A committed artifact that is another than it says, and a job that reads it."""
    roles = {
        "dataset": "reclens.recommender.train.v1",
        "recommender": "reclens.activations.capture.v1",
        "activations": "reclens.autoencoder.train.v1",
        "autoencoder": "reclens.autoencoder.evaluate.v1",
        "concepts": "reclens.autoencoder.evaluate.v1",
    }
    role = rng.choice(sorted(roles))
    task = roles[role]
    spec = dict(target.specs[task])
    true = spec[role]
    ref = f"{true.partition('/')[0]}/{rng.getrandbits(64):016x}"
    manifest = target.store.manifest(true)
    good = manifest.canonical()
    for entry in good["objects"]:
        data = stored = target.objects.get(manifest.key(entry["name"]))
        # Sizes differ from run to run, and what a case draws must not.
        own = random.Random(rng.getrandbits(64))
        if own.random() < 0.25:
            stored = _damaged(own, data, HostileJson(own, target.paths))
            if own.random() < 0.7:
                entry |= {"sha256": sha256_hex(stored), "size": len(stored)}
        target.objects.put(f"{ref}/{entry['name']}", stored)
    good |= {"artifact": ref, "attempt": ""}
    hostile = HostileJson(rng, target.paths)
    how = rng.randrange(6)
    if how == 0 and good["objects"]:
        rng.choice(good["objects"])["name"] = rng.choice((*_NAMES, *target.paths))
    elif how == 1 and good["objects"]:
        rng.choice(good["objects"])["sha256"] = rng.choice((f"../../{ESCAPED}", "0" * 64, "0" * 63))
    elif how == 2:
        good["attempt"] = rng.choice(("../" * 5, "0" * 16, f"/{ESCAPED}"))
    elif how == 3:
        good["objects"] = good["objects"] * 20_000
    elif how == 4:
        good["inputs"] = {"x": {"artifact": ref, "manifest_sha256": "0" * 64}}
    data = json.dumps(good).encode() if how < 5 else _bytes(rng, hostile, good)
    target.objects.put(f"{ref}/manifest.json", data)
    _try(report, number, lambda: target.store.fetch_all(ref))
    _try(report, number, lambda: target.store.lineage(ref))
    spec[role] = ref
    _submit(target, task, spec, jobs, number)


def _release(
    target: Target, rng: random.Random, report: Report, number: int, jobs: dict[str, int]
) -> None:
    hostile = HostileJson(rng, target.paths)
    name = f"forged-{number}"
    good = target.release.canonical() | {"name": name, "number": 1}
    key = rng.choice((f"{name}/000001.json", f"{name}.json", f"{name}/999999999999.json"))
    target.objects.put(f"releases/{key}", _bytes(rng, hostile, good))
    _try(report, number, lambda: target.store.releases.head(name))
    _try(report, number, lambda: target.store.releases.history(name))
    _try(report, number, target.store.releases.heads)
    change = {"name": name, "action": rng.choice(("rollback", "pin", "unpin")), "author": "attack"}
    _submit(target, "reclens.release.change.v1", change, jobs, number)
    publish = target.specs["reclens.release.publish.v1"] | {"name": name, "expected": None}
    _submit(target, "reclens.release.publish.v1", publish, jobs, number)


def _policy(
    target: Target, rng: random.Random, report: Report, number: int, _jobs: dict[str, int]
) -> None:
    hostile = HostileJson(rng, target.paths)
    name = f"forged-{number}"
    good = {
        **{"policy_id": name, "version": 1, "description": "d", "release": "default"},
        **{"edits": [{"latent": 1, "add": 0.5}], "mode": "residual", "constraints": {}},
        **{"autoencoder": target.release.autoencoder, "author": "a", "comment": "c"},
        **{"changed_at": "2024-01-01T00:00:00+00:00", "request_id": "", "deleted": False},
    }
    key = rng.choice((f"{name}/000001.json", f"{name}/000002.json", "x/y/000001.json"))
    target.objects.put(f"policies/{key}", _bytes(rng, hostile, good))
    log = PolicyLog(target.objects)
    _try(report, number, log.newest)
    _try(report, number, lambda: log.version(name, 1))
    with SteeringClient(target.gateway, token=target.tokens["admin"], timeout=20) as client:
        _try(report, number, lambda: client.policy(name))


def _correction(
    target: Target, rng: random.Random, report: Report, number: int, jobs: dict[str, int]
) -> None:
    hostile = HostileJson(rng, target.paths)
    autoencoder = f"autoencoders/{rng.getrandbits(64):016x}"
    good = CorrectionLog(target.store, target.release.autoencoder).entry(1).canonical()
    log = CorrectionLog(target.store, autoencoder)
    target.objects.put(log.key(1), _bytes(rng, hostile, good))
    _try(report, number, log.read)
    # In the log that a job reads, behind a good entry.
    real = CorrectionLog(target.store, target.release.autoencoder)
    target.objects.put(real.key(2), _bytes(rng, hostile, good))
    spec = target.specs["reclens.concepts.edit.v1"] | {"n_edits": 2}
    _submit(target, "reclens.concepts.edit.v1", spec, jobs, number)


def _checkpoint(
    target: Target, rng: random.Random, report: Report, number: int, jobs: dict[str, int]
) -> None:
    hostile = HostileJson(rng, target.paths)
    task = rng.choice(("reclens.recommender.train.v1", "reclens.autoencoder.train.v1"))
    spec = json.loads(json.dumps(target.specs[task]))
    (spec if "seed" in spec else spec["config"])["seed"] = 1000 + number
    ref = job_kinds()[task].spec.parse(spec).artifact_ref()
    entry = {"name": ESCAPED, "size": 1, "sha256": "0" * 64, "attempt": "0" * 16}
    meta = {
        **{"trainer": {"epoch": 1, "step": 3, "best": 0.5}, "seconds": 1.0, "reached": None},
        **{"peak_memory_bytes": 1, "devices": ["cpu"], "parts": {"objects": [entry], "inputs": {}}},
    }
    digest = rng.choice((f"../../{ESCAPED}", sha256_hex(b"x"), "0" * 64))
    good = {"key": f"checkpoints/{ref}/x.safetensors", "sha256": digest, "meta": meta}
    if ".." not in digest and rng.random() < 0.5:
        target.objects.put(f"checkpoints/{ref}/{digest[:16]}.safetensors", b"x")
    target.objects.put(f"checkpoints/{ref}/latest.json", _bytes(rng, hostile, good))
    _submit(target, task, spec, jobs, number)


def _served(target: Target, report: Report, number: int) -> None:
    """What serving answers, with all of that in its store."""
    with SteeringClient(target.gateway, token=target.tokens["admin"], timeout=20) as client:
        answer = client.recommend(user_id="user-0")
        if not answer.items:
            report.breaks(number, "the good release is not served")
        _try(report, number, lambda: list(client.policies()))
        _try(report, number, client.releases)
