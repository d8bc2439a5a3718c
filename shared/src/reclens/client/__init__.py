"""Typed clients of SteeringService, and the edits to ask for."""

# Each name is re-exported as itself, with the others of its module.
# isort: skip_file

from reclens.client.asynchronous import (
    AsyncSession as AsyncSession,
    AsyncSteeringClient as AsyncSteeringClient,
)
from reclens.client.edits import (
    ablate as ablate,
    above as above,
    add_latent as add_latent,
    below as below,
    blend as blend,
    less as less,
    more as more,
    scale as scale,
    set_concept as set_concept,
    set_latent as set_latent,
    when as when,
)
from reclens.client.requests import (
    PolicyOptions as PolicyOptions,
    RecommendOptions as RecommendOptions,
    SubjectOptions as SubjectOptions,
    policy_message as policy_message,
    recommend_request as recommend_request,
)
from reclens.client.sessions import SessionAnswer as SessionAnswer
from reclens.client.synchronous import (
    Session as Session,
    SteeringClient as SteeringClient,
)
from reclens.rpc_status import failure_error as failure_error
