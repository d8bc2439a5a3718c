"""GetRelease and ListReleases."""

from __future__ import annotations

from typing import Any

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.platform.store.release_watch import ReleaseState
from reclens_gateway.calls.base import DEFAULT_RELEASE, Calls
from reclens_gateway.calls.paging import Cursor, cut, digest, open_token, page_size
from reclens_gateway.served_release import ServedRelease, versions


class ReleaseCalls(Calls):
    """What is answered from."""

    async def GetRelease(  # noqa: N802
        self, request: pb.GetReleaseRequest, context: Any
    ) -> pb.GetReleaseResponse:
        state = self.watch.state(request.name or DEFAULT_RELEASE, field="name")
        return pb.GetReleaseResponse(release=_release(state))

    async def ListReleases(  # noqa: N802
        self, request: pb.ListReleasesRequest, context: Any
    ) -> pb.ListReleasesResponse:
        size = page_size(request.page_size, default=50)
        query = digest("ListReleases")
        cursor = open_token(request.page_token, query) or Cursor("", query, 0)
        page = cut(self.watch.states(), size, cursor)
        return pb.ListReleasesResponse(
            releases=[_release(state) for state in page.entries], next_page_token=page.next_token
        )


def _release(state: ReleaseState[ServedRelease]) -> pb.Release:
    newest, current = state.newest, state.current
    return pb.Release(
        name=newest.name,
        versions=versions(newest),
        published_at=newest.published_at,
        serving=current is not None and current.release.version == newest.version,
        refusal=state.refusal,
    )
