"""Whoever may add to a log may also put over its entries; readers see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from deployed_servers import AUTOENCODER, Deployed, release_of_nothing

from reclens.contracts import ConceptCorrection, Release
from reclens.errors import CorruptArtifact
from reclens.ops.deployment.access import Account
from reclens.platform.store.artifacts import ArtifactStore
from reclens.platform.store.label_corrections import CorrectionLog
from reclens.platform.store.policy_log import PolicyLog
from reclens.platform.store.release_watch import ReleaseWatch
from reclens.platform.store.releases import ReleaseLog
from reclens.steering.policies import StoredPolicy

AUTOENCODER_OF_MINE = f"autoencoders/{'c' * 16}"


def write_releases(store: ArtifactStore) -> str:
    for version in ("a", "b"):
        change = {"name": "sealed", "version": version}
        store.releases.publish(release_of_nothing("sealed").model_copy(update=change))
    return "releases/sealed/000001.json"


def write_policies(store: ArtifactStore) -> str:
    policy = StoredPolicy.parse(
        {
            "policy_id": "sealed",
            "version": 1,
            "release": "default",
            "autoencoder": AUTOENCODER,
            "author": "ann",
            "changed_at": "2026-01-01T00:00:00+00:00",
        }
    )
    log = PolicyLog(store.objects)
    log.create(policy)
    log.update(policy, based_on=1)
    return "policies/sealed/000001.json"


def write_corrections(store: ArtifactStore) -> str:
    log = CorrectionLog(store, AUTOENCODER_OF_MINE)
    for latent in (1, 2):
        correction = ConceptCorrection(
            operation="rename",
            concept_id="drama",
            was="Drama",
            latents=(latent,),
            name="Slow drama",
            author="ann",
            at="2026-01-01T00:00:00+00:00",
        )
        log.append(correction, seen=latent - 1)
    return log.key(1)


@pytest.mark.parametrize(
    ("account", "write", "read"),
    [
        (
            Account.LABELER,
            write_releases,
            lambda store: ReleaseLog(store.objects).version("sealed", 1),
        ),
        (
            Account.GATEWAY,
            write_policies,
            lambda store: PolicyLog(store.objects).version("sealed", 1),
        ),
        (
            Account.OPERATOR,
            write_corrections,
            lambda store: CorrectionLog(store, AUTOENCODER_OF_MINE).read(),
        ),
    ],
    ids=["release", "policy", "correction"],
)
def test_who_puts_over_an_entry_is_found_out(
    deployed: Deployed,
    tmp_path: Path,
    account: Account,
    write: Callable[[ArtifactStore], str],
    read: Callable[[ArtifactStore], object],
) -> None:
    owner = deployed.store(account, tmp_path / "owner")
    reader = deployed.store(Account.INFERENCE, tmp_path / "reader")
    key = write(owner)
    read(reader)
    whole = owner.objects.get(key)
    # The store lets it: adding and putting over are one right.
    forged = {**json.loads(whole), "author": "nobody"}
    owner.objects.put(key, json.dumps(forged, sort_keys=True, separators=(",", ":")).encode())
    with pytest.raises(CorruptArtifact, match=f"{key} was changed"):
        read(reader)
    owner.objects.put(key, whole)
    read(reader)


async def test_a_release_that_is_put_over_goes_on_as_it_was_read(
    deployed: Deployed, tmp_path: Path
) -> None:
    owner = deployed.store(Account.LABELER, tmp_path / "owner")
    server = deployed.store(Account.GATEWAY, tmp_path / "server")
    owner.releases.publish(release_of_nothing("served"))

    async def load(release: Release, _current: str | None) -> str:
        return release.concepts

    async def changed(_any_served: bool) -> None: ...

    watch = ReleaseWatch(lambda: {"served": server.releases.heads()["served"]}, load, 60, changed)
    await watch.refresh()
    key = "releases/served/000001.json"
    forged = {
        **json.loads(owner.objects.get(key)),
        "version": "2",
        "concepts": f"concepts/{'f' * 16}",
    }
    owner.objects.put(key, json.dumps(forged).encode())
    for _ in range(2):
        await watch.refresh()
        assert watch.current("served").loaded == f"concepts/{'a' * 16}"
        assert f"{key} was changed" in watch.state("served").refusal
