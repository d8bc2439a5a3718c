"""Stored policies, made fit for the release that a request is answered from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotFound, NotReady
from reclens_gateway.policies.recent import Recent
from reclens_gateway.resolving.constraints import add_constraints
from reclens_gateway.resolving.edits import resolve_edits
from reclens_gateway.served_release import ServedRelease

_MAX_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class FittedPolicy:
    """A policy in terms of one version of a release. Shared by requests: not to be changed."""

    policy: pb.Policy
    """The policy as it is stored."""
    part: inference.RankRequest
    """Its edits and constraints, to be merged into a question."""
    unknown_items: frozenset[str]
    """Excluded ids that the data set does not have."""


class PolicyFits:
    """Fits policies to releases, once for each pair of versions: neither of them changes."""

    def __init__(self) -> None:
        self._fitted: Recent[tuple[str, ...], FittedPolicy] = Recent(
            _MAX_BYTES, lambda one: one.policy.ByteSize() + one.part.ByteSize()
        )

    def fit(self, policy: pb.Policy, served: ServedRelease, *, field: str) -> FittedPolicy:
        """The policy for ``served``, which has learnt what its concepts push.

        Raises:
            NotReady: it names latents of another autoencoder.
            NotFound, InvalidInput: the release does not have what it names.
        """
        release = served.release
        pair = (
            policy.policy_id, str(policy.version), policy.changed_at, release.name, release.version
        )  # fmt: skip
        fitted = self._fitted.get(pair)
        if fitted is None:
            fitted = _fit(policy, served, field)
            self._fitted.keep(pair, fitted)
        return fitted

    @staticmethod
    def check(policy: pb.Policy, served: ServedRelease, *, field: str) -> None:
        """Refuse what `fit` would, without what is yet to be learnt."""
        _fit(policy, served, field, check_only=True)


def _fit(
    policy: pb.Policy, served: ServedRelease, field: str, *, check_only: bool = False
) -> FittedPolicy:
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
        part.edits.extend(resolve_edits(served, policy.edits, check_only=check_only))
        unknown = add_constraints(served, policy.constraints, part)
    except (InvalidInput, NotFound) as error:
        raise type(error)(
            f"{what} does not fit release {release.name!r}: {error.field}: {error.message}",
            field=field,
            remedy=f"update the policy for this release. {error.remedy}".strip(),
        ) from error
    return FittedPolicy(policy, part, frozenset(unknown))


def names_latents(edits: Iterable[pb.Edit]) -> bool:
    """Whether edits say something of latents by their index."""
    return any(
        edit.WhichOneof("target") == "latent"
        or any(part.WhichOneof("target") == "latent" for part in edit.blend.parts)
        or any(condition.WhichOneof("target") == "latent" for condition in edit.when)
        for edit in edits
    )
