"""From names in a request to edits of latents and rows of the catalogue, by one release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as steering
from reclens.concepts.catalog.carriers import ConceptCarriers
from reclens.concepts.catalog.concepts import ConceptIndex
from reclens.concepts.catalog.items import ItemCatalog
from reclens.contracts import Release
from reclens.contracts.tables import CONCEPTS, ITEMS, LATENTS
from reclens.errors import InvalidInput, NotFound, NotReady
from reclens.platform.store.artifacts import ArtifactStore
from reclens.steering.limits import (
    DEFAULT_TOP_K,
    MAX_EDITS,
    MAX_EXCLUDED,
    MAX_HISTORY,
    MAX_TAG_LIMITS,
    MAX_TOP_K,
    check_count,
)
from reclens.steering.pushes import ConceptPushes
from reclens.steering.wire import (
    add_latent_edits,
    mode_number,
    names_latents,
    read_mode,
    resolve_edits,
)

# --- a release: names for latents and items, no weights ------------------------------------------


@dataclass(frozen=True, eq=False)
class ServedRelease:
    """Everything that requests are resolved with."""

    release: Release
    """Pointer that it was loaded from."""
    items: ItemCatalog
    """Titles and tags."""
    concepts: ConceptIndex
    """Labels of the latents."""
    n_latents: int
    """Latents of the dictionary."""

    @cached_property
    def versions(self) -> steering.Versions:
        """What it pins, as answers say it. To be copied."""
        return versions(self.release)

    @cached_property
    def carriers(self) -> ConceptCarriers:
        """Which items carry which concept."""
        return ConceptCarriers(self.items, self.concepts)

    @cached_property
    def pushes(self) -> ConceptPushes:
        """What adding each concept pushes."""
        return ConceptPushes(self.release, self.concepts, self.carriers, self.n_latents)


def load_served_release(store: ArtifactStore, release: Release) -> ServedRelease:
    """Load the tables that ``release`` names latents and items with.

    Raises:
        NotFound, CorruptArtifact: an artifact is missing or damaged.
        NotReady: the concepts label another autoencoder.
        Unavailable: the store does not answer just now.
    """
    lineage = store.lineage(release.concepts)
    if lineage.get("autoencoder") != release.autoencoder:
        raise NotReady(
            f"{release.concepts} label {lineage.get('autoencoder')}, not {release.autoencoder}.",
            field="concepts",
            remedy="release concepts with the autoencoder that they label.",
        )
    n_latents = len(LATENTS.read(store.fetch(release.autoencoder, LATENTS.file), ["latent"]))
    return ServedRelease(
        release=release,
        items=ItemCatalog.read(store.fetch(lineage["dataset"], ITEMS.file)),
        concepts=ConceptIndex.read(store.fetch(release.concepts, CONCEPTS.file), n_latents),
        n_latents=n_latents,
    )


def versions(release: Release) -> steering.Versions:
    """The versions that ``release`` pins."""
    return steering.Versions(
        release=release.name,
        release_version=release.version,
        recommender=release.recommender,
        autoencoder=release.autoencoder,
        concepts=release.concepts,
    )


# --- requests and policies in its terms ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ResolvedPolicy:
    """A policy in terms of one version of a release. Shared by requests: not to be changed."""

    policy: steering.Policy
    """The policy as it is stored."""
    part: inference.RankRequest
    """Its edits and constraints, to be merged into a request."""
    unknown_items: frozenset[str]
    """Excluded ids that the data set does not have."""

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes."""
        return self.policy.ByteSize() + self.part.ByteSize()


@dataclass(frozen=True)
class ResolvedRequest:
    """A request in terms of one version of a release."""

    rank: inference.RankRequest
    """What to ask the inference service."""
    edits: Sequence[steering.Edit] = ()
    """All edits that are applied: the policy's first, then the request's."""
    unknown_excluded: int = 0
    """Excluded ids that the data set does not have."""
    policy: steering.PolicyRef | None = None
    """The policy whose edits these are."""


def resolve_request(
    served: ServedRelease,
    request: steering.RecommendRequest,
    policy: ResolvedPolicy | None = None,
) -> ResolvedRequest:
    """What to ask the inference service.

    Args:
        served: the version to answer from.
        request: what is asked; other calls than Recommend ask in its terms.
        policy: the policy that it names: its edits come first, its constraints hold as well, and
            its mode where the request gives none.

    Raises:
        InvalidInput, NotFound: names the field.
    """
    edits = request.edits
    check_count(request.top_k, MAX_TOP_K, "items", field="top_k")
    mode = request.mode or (0 if policy is None else policy.policy.mode)
    rank = inference.RankRequest(
        release=served.release.name,
        release_version=served.release.version,
        top_k=request.top_k or DEFAULT_TOP_K,
        exclude_seen=not request.include_seen,
        mode=mode_number(read_mode(mode)),
        include_baseline=request.include_baseline,
        include_latents=request.explain,
    )
    _add_subject(served, request.subject, rank)
    if policy is None:
        ref, applied, unknown = None, edits, frozenset[str]()
    else:
        stored = policy.policy
        ref = steering.PolicyRef(policy_id=stored.policy_id, version=stored.version)
        applied, unknown = [*stored.edits, *edits], policy.unknown_items
        check_count(
            len(applied),
            MAX_EDITS,
            "edits, those of the policy included,",
            field="edits",
            remedy=f"send at most {MAX_EDITS - len(stored.edits)} with this policy.",
        )
        rank.MergeFrom(policy.part)
    if edits:
        add_latent_edits(resolve_edits(edits, served.pushes), rank.edits)
    if request.HasField("constraints"):
        unknown |= add_constraints(served, request.constraints, rank)
    return ResolvedRequest(rank, applied, len(unknown), ref)


def resolve_policy(
    policy: steering.Policy, served: ServedRelease, *, field: str, check_only: bool = False
) -> ResolvedPolicy:
    """A stored policy for ``served``.

    Args:
        policy: as it is stored.
        served: the version that it is for.
        field: what errors name.
        check_only: see `resolve_edits`.

    Raises:
        NotReady: it names latents of another autoencoder.
        NotFound, InvalidInput: the release does not have what it names.
    """
    what = f"version {policy.version} of policy {policy.policy_id!r}"
    release = served.release
    if policy.autoencoder != release.autoencoder and names_latents(policy.edits):
        raise NotReady(
            f"{what} names latents of {policy.autoencoder}, but release {release.name!r} has "
            f"{release.autoencoder}, where they mean something else.",
            field=field,
            remedy="update the policy for this release; concepts outlive a change of autoencoder.",
        )
    part = inference.RankRequest()
    try:
        edits = resolve_edits(policy.edits, served.pushes, check_only=check_only)
        unknown = add_constraints(served, policy.constraints, part)
    except (InvalidInput, NotFound) as error:
        raise type(error)(
            f"{what} does not fit release {release.name!r}: {error.field}: {error.message}",
            field=field,
            remedy=f"update the policy for this release. {error.remedy}".strip(),
        ) from error
    add_latent_edits(edits, part.edits)
    return ResolvedPolicy(policy, part, frozenset(unknown))


def add_constraints(
    served: ServedRelease,
    constraints: steering.Constraints,
    rank: inference.RankRequest,
    *,
    field: str = "constraints",
) -> set[str]:
    """Add ``constraints`` to those of ``rank``: of two limits of a tag the lower one stays.

    Returns:
        Excluded ids that the data set does not have.

    Raises:
        InvalidInput: too many, or a tag twice.
        NotFound: a tag that no item has.
    """
    excluded, where = constraints.exclude_item_ids, f"{field}.exclude_item_ids"
    check_count(len(excluded), MAX_EXCLUDED, "excluded items", field=where)
    unknown: set[str] = set()
    if excluded:
        rows = set(rank.excluded_items)
        for item_id in excluded:
            row = served.items.find(item_id)
            if row is None:
                unknown.add(item_id)
            else:
                rows.add(row)
        what = "excluded items, those of the policy included,"
        check_count(len(rows), MAX_EXCLUDED, what, field=where)
        rank.excluded_items[:] = sorted(rows)
    if constraints.tag_limits:
        _add_tag_limits(served, constraints.tag_limits, rank, f"{field}.tag_limits")
    return unknown


def _add_tag_limits(
    served: ServedRelease,
    limits: Sequence[steering.TagLimit],
    rank: inference.RankRequest,
    field: str,
) -> None:
    check_count(len(limits), MAX_TAG_LIMITS, "limits", field=field)
    named: set[str] = set()
    before = {limit.tag: limit for limit in rank.tag_limits}
    for position, limit in enumerate(limits):
        where = f"{field}[{position}].tag"
        served.items.check_tag(limit.tag, field=where)
        if limit.tag in named:
            raise InvalidInput(
                f"the tag {limit.tag!r} has two limits.", field=where, remedy="give one."
            )
        named.add(limit.tag)
        if limit.tag in before:
            before[limit.tag].max_items = min(before[limit.tag].max_items, limit.max_items)
        else:
            rank.tag_limits.add(tag=limit.tag, max_items=limit.max_items)


def _add_subject(
    served: ServedRelease, subject: steering.Subject, rank: inference.RankRequest
) -> None:
    match subject.WhichOneof("subject"):
        case "user_id":
            rank.subject.user_id = subject.user_id
        case "history":
            item_ids, field = subject.history.item_ids, "subject.history.item_ids"
            check_count(
                len(item_ids),
                MAX_HISTORY,
                "items of a history",
                field=field,
                least=1,
                remedy=f"give 1 to {MAX_HISTORY} item ids, oldest first.",
            )
            rank.subject.history.items.extend(served.items.rows(item_ids, field=field))
        case _:
            raise InvalidInput(
                "nobody to recommend to.",
                field="subject",
                remedy="give a user_id or a history of item ids.",
            )
