"""Arguments to request messages, for both clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput

_MODES = {
    "residual": pb.STEERING_MODE_RESIDUAL,
    "reconstruct": pb.STEERING_MODE_RECONSTRUCT,
}


def subject(user_id: str | None, history: Iterable[str] | None) -> pb.Subject:
    """Whom to recommend to.

    Raises:
        InvalidInput: both or neither are given.
    """
    if (user_id is None) == (history is None):
        raise InvalidInput(
            "give either a user_id or a history.", field="subject", remedy="drop one, or add one."
        )
    if user_id is not None:
        return pb.Subject(user_id=user_id)
    return pb.Subject(history=pb.ItemHistory(item_ids=history))


def recommend_request(
    *,
    user_id: str | None = None,
    history: Iterable[str] | None = None,
    edits: Iterable[pb.Edit] = (),
    top_k: int = 10,
    include_seen: bool = False,
    include_baseline: bool = False,
    explain: bool = False,
    mode: Literal["residual", "reconstruct"] = "residual",
    release: str = "",
    request_id: str = "",
) -> pb.RecommendRequest:
    """A request of Recommend; also an entry of BatchRecommend.

    Args:
        user_id: a user of the data set.
        history: item ids, oldest first, for anybody else.
        edits: what to change, see `reclens.client.edits`.
        top_k: items to return, 1 to 1000.
        include_seen: keep items of the history among the candidates.
        include_baseline: also return the untouched answer.
        explain: also return the firing latents and their contributions.
        mode: ``reconstruct`` drops what the dictionary does not explain.
        release: release to answer from. Empty: ``default``.
        request_id: for logs and traces. Empty: the gateway makes one.

    Raises:
        InvalidInput: not exactly one of ``user_id`` and ``history``, or an unknown mode.
    """
    if mode not in _MODES:
        raise InvalidInput(
            f"there is no mode {mode!r}.", field="mode", remedy=f"use {' or '.join(_MODES)}."
        )
    return pb.RecommendRequest(
        release=release,
        subject=subject(user_id, history),
        top_k=top_k,
        include_seen=include_seen,
        edits=edits,
        mode=_MODES[mode],
        include_baseline=include_baseline,
        explain=explain,
        request_id=request_id,
    )


def search_request(
    text: str | None, item_id: str | None, user_id: str | None, release: str
) -> pb.SearchConceptsRequest:
    """A search by exactly one thing.

    Raises:
        InvalidInput: none or several are given.
    """
    given = {
        name: value
        for name, value in (("text", text), ("item_id", item_id), ("user_id", user_id))
        if value is not None
    }
    if len(given) != 1:
        raise InvalidInput(
            f"{len(given)} things to search by.",
            field="query",
            remedy="give exactly one of text, item_id, user_id.",
        )
    return pb.SearchConceptsRequest(release=release, page_size=1000, **given)
