"""The system that is attacked: real servers and workers on a planted release, and what lies outside
of all that they may read or write."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from chaos.world import World
from served_world import Publisher

from reclens.contracts import (
    CaptureSpec,
    ConceptCorrection,
    ConceptCorrectionsSpec,
    SasRecConfig,
)
from reclens.contracts.datasets import DATASETS
from reclens.platform.grpc.auth import Scope, TokenEntry, digest, new_token, write_tokens
from reclens.platform.jobs.view import JobState
from reclens.platform.settings.models import DataSettings, data_setting
from reclens.platform.store.label_corrections import CorrectionLog

MARK = "CANARY" + secrets.token_hex(12)
"""Part of all that nobody may read; in no answer, log or job."""
ESCAPED = "escaped-" + secrets.token_hex(6)
"""Part of every name that leads out; on no file."""

Spec = dict[str, Any]


class Target(World):
    """Redis, S3, three workers, gateway and inference with tokens, and canaries beside them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.outside = folder / "outside"
        self.data = folder / "data"
        self.tokens: dict[str, str] = {}
        """Tokens by what they allow."""
        self.specs: dict[str, Spec] = {}
        """A good specification by task."""
        self.canaries: dict[Path, bytes] = {}
        self._plant_files()
        self._make_tokens()

    @property
    def paths(self) -> list[str]:
        """Files and folders that no specification, manifest or request may reach."""
        secret = self.outside / "secret.csv"
        below = self.data / "table"
        return [
            *(str(secret), str(self.outside), str(self.data / "link.csv"), "/proc/self/environ"),
            *("/etc/passwd", "/dev/zero", "/proc/self/fd/1", str(self.disk.folder)),
            *(f"{below}/../../outside/secret.csv", "../outside/secret.csv", f"/{ESCAPED}"),
            *(f"../../../{ESCAPED}", f"/tmp/{ESCAPED}", f"a/../../{ESCAPED}", f"..\\{ESCAPED}"),
            *(f"{self.outside}/{ESCAPED}", f"file://{secret}", f"{secret}\0.csv"),
        ]

    def _plant_files(self) -> None:
        self.outside.mkdir()
        table = self.data / "table"
        table.mkdir(parents=True)
        rows = [f"{MARK},{MARK},{n}" for n in range(20)]
        secret = "\n".join([f"user_id,item_id,timestamp-{MARK}", *rows]).encode()
        for name in ("secret.csv", "items.csv", "interactions.csv", "u.data", "secret.safetensors"):
            self.canaries[self.outside / name] = secret
        for path, data in self.canaries.items():
            path.write_bytes(data)
        (self.data / "link.csv").symlink_to(self.outside / "secret.csv")
        (self.data / "linked").symlink_to(self.outside)
        interactions = [f"u{n % 12},i{n % 7},{n}" for n in range(120)]
        text = "\n".join(["user_id,item_id,timestamp", *interactions])
        (table / "interactions.csv").write_text(text)

    def _make_tokens(self) -> None:
        entries = []
        for name, scopes in (
            ("read", [Scope.READ]),
            ("steer", [Scope.READ, Scope.STEER]),
            ("admin", list(Scope)),
        ):
            self.tokens[name] = new_token()
            entries.append(TokenEntry(client=name, sha256=digest(self.tokens[name]), scopes=scopes))
        write_tokens(self.folder / "tokens.json", entries)

    def _environment(self, name: str) -> dict[str, str]:
        missing = str(self.folder / "no-data")
        file = str(self.folder / "tokens.json")
        own = {
            "ATTACK_CANARY": MARK,
            "RECLENS_PATIENCE_SECONDS": "2",
            "RECLENS_MAX_RETRIES": "1",
            "RECLENS_GATEWAY__AUTH__TOKENS_FILE": file,
            "RECLENS_INFERENCE__AUTH__TOKENS_FILE": file,
            "RECLENS_GATEWAY__INFERENCE_TOKEN": self.tokens["steer"],
            # Nothing is downloaded.
            **{data_setting(one): missing for one in DATASETS.names()},
        }
        if "roots" in DataSettings.model_fields:
            own["RECLENS_DATA__ROOTS"] = str(self.data)
        return super()._environment(name) | own

    def _add_parts(self) -> None:
        super()._add_parts()
        self.programs = {k: v for k, v in self.programs.items() if not k.endswith("-2")}

    def _prepare(self) -> None:
        world = Publisher(self.store, self.folder / "made").world()
        release = world.release
        recommender, autoencoder = release.recommender, release.autoencoder
        dataset = self.store.lineage(recommender)["dataset"]
        capture = CaptureSpec(recommender=recommender, seed=1)
        job = self._run(capture.JOB.task, capture.canonical())
        assert job.state is JobState.SUCCEEDED, job.error
        correction = ConceptCorrection(
            operation="reject",
            concept_id="any",
            was="any",
            latents=(0,),
            author="attack",
            at="2024-01-01T00:00:00+00:00",
        )
        CorrectionLog(self.store, autoencoder).append(correction, seen=0)
        parts = {"recommender": recommender, "autoencoder": autoencoder}
        labelling = {
            **{"autoencoder": autoencoder, "dataset": dataset, "source": "keywords", "seed": 0},
            **{"judges": ["keywords"], "llm": {"model": "m", "temperature": 0.0}},
        }
        source = {
            **{"format": "table", "path": str(self.data / "table"), "items_path": None},
            **{"columns": {"user": "user_id", "tag_separator": "|"}, "sha256": {}},
        }
        model = SasRecConfig(d_model=8, max_epochs=1).canonical()
        config = {"kind": "topk", "n_latents": 32, "k": 4, "n_epochs": 1, "k_auxiliary": 8}
        imported = {"name": "own", "source": source, "min_rating": None, "k_core": 1}
        split = {"kind": "ratio", "valid": 0.1, "test": 0.1, "seed": 0}
        self.specs = {
            "reclens.dataset.import.v1": {**imported, "split": split},
            "reclens.recommender.train.v1": {"dataset": dataset, "model": model, "seed": 7},
            "reclens.activations.capture.v1": capture.canonical(),
            "reclens.autoencoder.train.v1": {
                "activations": capture.artifact_ref(),
                "config": {**config, "seed": 0, "dead_after": 100},
            },
            "reclens.concepts.label.v1": labelling,
            "reclens.concepts.shard.v1": {**labelling, "first": 0, "stop": 8},
            "reclens.concepts.join.v1": labelling,
            "reclens.concepts.edit.v1": ConceptCorrectionsSpec.of(
                release.concepts, [correction]
            ).canonical(),
            "reclens.autoencoder.evaluate.v1": {
                **{"autoencoder": autoencoder, "concepts": release.concepts},
                **{"ks": [5, 10], "seed": 0},
            },
            "reclens.release.publish.v1": {
                **{"name": "forged", "concepts": release.concepts, "expected": 0, **parts},
                "ordered_at": "2024-01-01T00:00:00+00:00",
            },
            "reclens.release.change.v1": {
                **{"name": "forged", "action": "rollback", "to": 1, "expected": 1},
                **{"author": "attack", "reason": "none"},
            },
            "reclens.pipeline.run.v1": {
                **{"release": "forged", "dataset": imported, "recommender": {"model": model}},
                "autoencoder": {"config": config},
            },
        }
        self.release = release
