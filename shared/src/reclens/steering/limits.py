"""Limits of requests, each stated once.

The gateway, the inference service, the client and the command line take them from here. The
comments of the protos and docs/reference/limits.md repeat them; a test holds that they agree.
"""

from __future__ import annotations

from typing import Final

from reclens.errors import InvalidInput

DEFAULT_RELEASE: Final = "default"
"""Release of requests that name none."""

MAX_TOP_K: Final = 1000
"""Items in one answer."""
DEFAULT_TOP_K: Final = 10
"""Items in one answer, where the request does not say."""
MAX_HISTORY: Final = 10_000
"""Items in a history that is given with a request."""
MAX_EXCLUDED: Final = 10_000
"""Items that a request may exclude, those of its policy included."""
MAX_TAG_LIMITS: Final = 100
"""Tags whose items a request may limit."""

MAX_EDITS: Final = 100
"""Edits in one request or policy; in a request, those of its policy included."""
MAX_CONDITIONS: Final = 10
"""Conditions of one edit."""
MAX_BLEND_PARTS: Final = 100
"""Latents and concepts in one blend."""
MAX_STRENGTH: Final = 100.0
"""Largest strength, weight and level of an edit, by size: far beyond any useful push, far below
overflow."""

MAX_BATCH: Final = 256
"""Requests in one BatchRecommend."""
MAX_VARIANTS: Final = 32
"""Lists of edits in one Compare."""
MAX_VARIANT_NAME: Final = 128
"""Characters of the name of such a list."""
MAX_RANK_BATCH: Final = 1024
"""Requests in one BatchRank, from the gateway to the inference service."""

MAX_TEXT: Final = 1000
"""Characters of a text: to propose from, to search by, and a policy's description and comment."""
MAX_EXAMPLES: Final = 1000
"""Items that a proposal may be made from as liked, and as many as disliked."""
MAX_PROPOSE_ITEMS: Final = 10_000
"""Items in one Propose, from the gateway to the inference service."""
MAX_PROPOSED_LATENTS: Final = 64
"""Latents in one proposal."""
DEFAULT_PROPOSED_LATENTS: Final = 16
"""Latents in one proposal, where the request does not say; more bring next to nothing."""
MAX_SHOWN_ITEMS: Final = 50
"""Items that a proposal was made from and that its answer lists."""
PUSH_LATENTS: Final = 16
"""Latents that adding a concept pushes."""

MAX_QUERY_BYTES: Final = 64 << 10
"""Bytes of a request that only names what is to be read or deleted."""
MAX_DRAFT_BYTES: Final = 1 << 20
"""Bytes of a request that writes a policy."""
MAX_STEP_BYTES: Final = 2 << 20
"""Bytes of one step of a session."""
MAX_PAGE_SIZE: Final = 1000
"""Entries on one page of a list."""
DEFAULT_PAGE_SIZE: Final = 50
"""Entries on one page, where the request does not say."""
DEFAULT_SEARCH_PAGE_SIZE: Final = 20
"""Concepts on one page of a search, where the request does not say."""

MAX_POLICIES: Final = 10_000
"""Names of stored policies, deleted ones included."""
MAX_POLICY_BYTES: Final = 256 << 10
"""Bytes of one stored version of a policy, as JSON."""
MAX_POLICIES_BYTES: Final = 256 << 20
"""Bytes of all policies' newest versions together: every gateway keeps them in memory."""
MAX_PAGE_BYTES: Final = 1 << 20
"""Bytes of a page of policies, which has at least one."""


def check_count(
    count: int, most: int, things: str, *, field: str, least: int = 0, remedy: str = ""
) -> None:
    """Refuse more, or fewer, than a request may have.

    Args:
        count: how many there are.
        most: how many there may be.
        things: what they are, for the error.
        field: what the error names.
        least: how many there must be.
        remedy: what to do instead; not given: how many there may be.

    Raises:
        InvalidInput: there are more than ``most`` or fewer than ``least``.
    """
    if least <= count <= most:
        return
    amount = "many" if count > most else "few"
    bounds = f"{least} to {most}" if least else f"at most {most}"
    raise InvalidInput(
        f"{count} {things} are too {amount}.", field=field, remedy=remedy or f"give {bounds}."
    )
