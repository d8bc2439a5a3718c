"""Whether a stored policy fits the release that a request is answered from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from reclens.api.inference.v1 import inference_pb2 as inference
from reclens.api.steering.v1 import steering_pb2 as pb
from reclens.errors import InvalidInput, NotFound, NotReady, RecLensError
from reclens_gateway.resolving import add_constraints
from reclens_gateway.resolving_edits import resolve_edits
from reclens_gateway.served_release import ServedRelease

_MAX_REMEMBERED = 4096


class PolicyFit:
    """Checks policies against releases, once for each pair of versions: neither changes."""

    def __init__(self) -> None:
        self._fitting: OrderedDict[tuple[str, int, str, str, str], None] = OrderedDict()

    def check(self, policy: pb.Policy, served: ServedRelease, *, field: str) -> None:
        """Refuse a policy that cannot be applied as it was meant.

        Raises:
            NotReady: it names latents of another autoencoder.
            NotFound, InvalidInput: the release does not have what it names.
        """
        release = served.release
        pair = (
            policy.policy_id, policy.version, policy.changed_at, release.name, release.version
        )  # fmt: skip
        if pair in self._fitting:
            return
        _check(policy, served, field)
        self._fitting[pair] = None
        if len(self._fitting) > _MAX_REMEMBERED:
            self._fitting.popitem(last=False)


def _check(policy: pb.Policy, served: ServedRelease, field: str) -> None:
    what = f"version {policy.version} of policy {policy.policy_id!r}"
    release = served.release
    if policy.autoencoder != release.autoencoder and names_latents(policy.edits):
        raise NotReady(
            f"{what} names latents of {policy.autoencoder}, but release {release.name!r} has "
            f"{release.autoencoder}, where they mean something else.",
            field=field,
            remedy="update the policy for this release; concepts outlive a change of autoencoder.",
        )
    try:
        resolve_edits(served, policy.edits, field="edits")
        add_constraints(served, policy.constraints, inference.RankRequest(), field="constraints")
    except (InvalidInput, NotFound) as error:
        raise _refused(error, f"{what} does not fit release {release.name!r}", field) from error


def _refused(error: RecLensError, what: str, field: str) -> RecLensError:
    return type(error)(
        f"{what}: {error.field}: {error.message}",
        field=field,
        remedy=f"update the policy for this release. {error.remedy}".strip(),
    )


def names_latents(edits: Iterable[pb.Edit]) -> bool:
    """Whether edits say something of latents by their index."""
    return any(
        edit.WhichOneof("target") == "latent"
        or any(part.WhichOneof("target") == "latent" for part in edit.blend.parts)
        or any(condition.WhichOneof("target") == "latent" for condition in edit.when)
        for edit in edits
    )
