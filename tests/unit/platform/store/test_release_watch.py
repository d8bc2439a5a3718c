"""The newest versions are followed, older ones kept, bad ones refused."""

from __future__ import annotations

import asyncio

import pytest

from reclens.contracts import Release
from reclens.errors import CorruptArtifact, NotFound, NotReady, RecLensError, Unavailable
from reclens.platform.store.release_watch import ReleaseWatch


def pointer(version: str, name: str = "default") -> Release:
    return Release(
        name=name,
        version=version,
        recommender="recommenders/0123456789abcdef",
        autoencoder="autoencoders/0123456789abcdef",
        concepts="concepts/0123456789abcdef",
        published_at="2024-01-01T00:00:00+00:00",
    )


class World:
    """Pointers that can be moved, and a loader that can be told to fail."""

    def __init__(self) -> None:
        self.pointers: dict[str, Release | RecLensError] = {}
        self.faults: dict[str, Exception] = {}
        self.loads: list[str] = []
        self.serving: list[bool] = []
        self.watch = ReleaseWatch(
            lambda: self.pointers, self.load, poll_seconds=3600, changed=self.changed
        )

    async def load(self, release: Release, current: str | None) -> str:
        self.loads.append(release.version)
        if release.version in self.faults:
            raise self.faults[release.version]
        return f"{current}->{release.version}"

    async def changed(self, any_served: bool) -> None:
        self.serving.append(any_served)

    async def point(self, *pointers: Release) -> None:
        self.pointers = {one.name: one for one in pointers}
        await self.watch.refresh()


async def test_nothing_known_is_loading_then_not_ready() -> None:
    world = World()
    with pytest.raises(Unavailable):
        world.watch.current("default")
    await world.point()
    with pytest.raises(NotReady):
        world.watch.current("default")
    assert world.serving == [False]


async def test_current_and_previous_are_kept_and_older_ones_dropped() -> None:
    world = World()
    for version in ("v1", "v2", "v3"):
        await world.point(pointer(version))
    assert world.watch.current("default").loaded == "v1->v2->v3".replace("v1->", "None->v1->")
    assert world.watch.version("default", "v2").release.version == "v2"
    with pytest.raises(NotReady, match="v3"):
        world.watch.version("default", "v1")
    assert world.loads == ["v1", "v2", "v3"]


async def test_unchanged_pointer_is_loaded_once() -> None:
    world = World()
    for _ in range(3):
        await world.point(pointer("v1"))
    assert world.loads == ["v1"]


async def test_going_back_takes_the_previous_version_without_loading() -> None:
    world = World()
    for version in ("v1", "v2", "v1"):
        await world.point(pointer(version))
    assert world.loads == ["v1", "v2"]
    assert world.watch.current("default").release.version == "v1"
    assert world.watch.version("default", "v2").release.version == "v2"


@pytest.mark.parametrize("fault", [NotReady("its parts do not fit."), KeyError("surprise")])
async def test_bad_version_is_refused_once_and_the_old_one_serves(fault: Exception) -> None:
    world = World()
    world.faults["v2"] = fault
    await world.point(pointer("v1"))
    await world.point(pointer("v2"))
    await world.point(pointer("v2"))
    state = world.watch.state("default")
    assert world.watch.current("default").release.version == "v1"
    assert (state.newest.version, bool(state.refusal)) == ("v2", True)
    assert world.loads == ["v1", "v2"]
    with pytest.raises(NotReady):
        world.watch.version("default", "v2")
    await world.point(pointer("v3"))
    assert world.watch.current("default").release.version == "v3"
    assert world.watch.state("default").refusal == ""


async def test_what_cannot_be_read_is_told_and_hinders_no_other_release() -> None:
    world = World()
    await world.point(pointer("v1"), pointer("v1", "night"))
    broken = CorruptArtifact("releases/default/000002.json cannot be read.")
    world.pointers = {"default": broken, "night": pointer("v2", "night"), "new": broken}
    await world.watch.refresh()
    assert world.watch.current("default").release.version == "v1"
    assert world.watch.state("default").refusal == broken.sentence
    assert world.watch.current("night").release.version == "v2"
    with pytest.raises(NotReady, match="000002"):
        world.watch.current("new")
    await world.point(pointer("v1"), pointer("v2", "night"))
    assert world.watch.state("default").refusal == ""


async def test_after_a_restart_the_readable_releases_serve() -> None:
    world = World()
    world.pointers = {"default": CorruptArtifact("broken."), "night": pointer("v1", "night")}
    await world.watch.refresh()
    assert world.watch.versions() == {"night": "v1"}
    assert world.serving == [True]


async def test_a_version_that_the_store_does_not_give_just_now_is_no_refusal() -> None:
    world = World()
    await world.point(pointer("v1"))
    world.pointers = {"default": Unavailable("the store is away.")}
    await world.watch.refresh()
    assert world.watch.state("default").refusal == ""
    assert world.watch.current("default").release.version == "v1"


async def test_store_that_is_away_is_asked_again() -> None:
    world = World()
    world.faults["v1"] = Unavailable("the store is away.")
    await world.point(pointer("v1"))
    with pytest.raises(Unavailable):
        world.watch.current("default")
    del world.faults["v1"]
    await world.point(pointer("v1"))
    assert world.watch.current("default").release.version == "v1"
    assert world.serving == [False, True]


async def test_unknown_name_is_not_found_with_near_ones() -> None:
    world = World()
    await world.point(pointer("v1", "default"), pointer("v1", "night"))
    with pytest.raises(NotFound, match="default"):
        world.watch.current("defualt")
    await world.point(pointer("v1", "night"))
    with pytest.raises(NotFound):
        world.watch.current("default")


async def test_polling_goes_on_after_the_pointers_could_not_be_read() -> None:
    world = World()
    failed = asyncio.Event()

    def read() -> dict[str, Release]:
        if not failed.is_set():
            failed.set()
            raise Unavailable("the store is away.")
        return {"default": pointer("v1")}

    loaded = asyncio.Event()

    async def changed(any_served: bool) -> None:
        if any_served:
            loaded.set()

    watch = ReleaseWatch(read, world.load, poll_seconds=0.01, changed=changed)
    await watch.start()
    await asyncio.wait_for(loaded.wait(), 10)
    await watch.stop()
    assert watch.current("default").release.version == "v1"
