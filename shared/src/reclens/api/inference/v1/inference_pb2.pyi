from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EditOperation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EDIT_OPERATION_UNSPECIFIED: _ClassVar[EditOperation]
    EDIT_OPERATION_SET: _ClassVar[EditOperation]
    EDIT_OPERATION_SCALE: _ClassVar[EditOperation]
    EDIT_OPERATION_ADD: _ClassVar[EditOperation]
    EDIT_OPERATION_ABLATE: _ClassVar[EditOperation]

class StrengthUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRENGTH_UNIT_UNSPECIFIED: _ClassVar[StrengthUnit]
    STRENGTH_UNIT_P99: _ClassVar[StrengthUnit]
    STRENGTH_UNIT_INPUT_NORM: _ClassVar[StrengthUnit]
    STRENGTH_UNIT_SCORE_SPREAD: _ClassVar[StrengthUnit]

class Comparison(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPARISON_UNSPECIFIED: _ClassVar[Comparison]
    COMPARISON_ABOVE: _ClassVar[Comparison]
    COMPARISON_BELOW: _ClassVar[Comparison]

class SteeringMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEERING_MODE_UNSPECIFIED: _ClassVar[SteeringMode]
    STEERING_MODE_RESIDUAL: _ClassVar[SteeringMode]
    STEERING_MODE_RECONSTRUCT: _ClassVar[SteeringMode]
EDIT_OPERATION_UNSPECIFIED: EditOperation
EDIT_OPERATION_SET: EditOperation
EDIT_OPERATION_SCALE: EditOperation
EDIT_OPERATION_ADD: EditOperation
EDIT_OPERATION_ABLATE: EditOperation
STRENGTH_UNIT_UNSPECIFIED: StrengthUnit
STRENGTH_UNIT_P99: StrengthUnit
STRENGTH_UNIT_INPUT_NORM: StrengthUnit
STRENGTH_UNIT_SCORE_SPREAD: StrengthUnit
COMPARISON_UNSPECIFIED: Comparison
COMPARISON_ABOVE: Comparison
COMPARISON_BELOW: Comparison
STEERING_MODE_UNSPECIFIED: SteeringMode
STEERING_MODE_RESIDUAL: SteeringMode
STEERING_MODE_RECONSTRUCT: SteeringMode

class Subject(_message.Message):
    __slots__ = ("user_id", "history")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    history: ItemHistory
    def __init__(self, user_id: _Optional[str] = ..., history: _Optional[_Union[ItemHistory, _Mapping]] = ...) -> None: ...

class ItemHistory(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, items: _Optional[_Iterable[int]] = ...) -> None: ...

class LatentGroup(_message.Message):
    __slots__ = ("latents", "weights", "share")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    latents: _containers.RepeatedScalarFieldContainer[int]
    weights: _containers.RepeatedScalarFieldContainer[float]
    share: float
    def __init__(self, latents: _Optional[_Iterable[int]] = ..., weights: _Optional[_Iterable[float]] = ..., share: _Optional[float] = ...) -> None: ...

class LatentEdit(_message.Message):
    __slots__ = ("groups", "operation", "strength", "unit", "conditions")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[LatentGroup]
    operation: EditOperation
    strength: float
    unit: StrengthUnit
    conditions: _containers.RepeatedCompositeFieldContainer[LatentCondition]
    def __init__(self, groups: _Optional[_Iterable[_Union[LatentGroup, _Mapping]]] = ..., operation: _Optional[_Union[EditOperation, str]] = ..., strength: _Optional[float] = ..., unit: _Optional[_Union[StrengthUnit, str]] = ..., conditions: _Optional[_Iterable[_Union[LatentCondition, _Mapping]]] = ...) -> None: ...

class LatentCondition(_message.Message):
    __slots__ = ("latents", "comparison", "level")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    latents: _containers.RepeatedScalarFieldContainer[int]
    comparison: Comparison
    level: float
    def __init__(self, latents: _Optional[_Iterable[int]] = ..., comparison: _Optional[_Union[Comparison, str]] = ..., level: _Optional[float] = ...) -> None: ...

class TagLimit(_message.Message):
    __slots__ = ("tag", "max_items")
    TAG_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    tag: str
    max_items: int
    def __init__(self, tag: _Optional[str] = ..., max_items: _Optional[int] = ...) -> None: ...

class RankRequest(_message.Message):
    __slots__ = ("release", "release_version", "subject", "top_k", "exclude_seen", "edits", "mode", "include_baseline", "include_latents", "excluded_items", "tag_limits", "timeout_seconds", "request_id", "traceparent")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_BASELINE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LATENTS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    TAG_LIMITS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    subject: Subject
    top_k: int
    exclude_seen: bool
    edits: _containers.RepeatedCompositeFieldContainer[LatentEdit]
    mode: SteeringMode
    include_baseline: bool
    include_latents: bool
    excluded_items: _containers.RepeatedScalarFieldContainer[int]
    tag_limits: _containers.RepeatedCompositeFieldContainer[TagLimit]
    timeout_seconds: float
    request_id: str
    traceparent: str
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., top_k: _Optional[int] = ..., exclude_seen: _Optional[bool] = ..., edits: _Optional[_Iterable[_Union[LatentEdit, _Mapping]]] = ..., mode: _Optional[_Union[SteeringMode, str]] = ..., include_baseline: _Optional[bool] = ..., include_latents: _Optional[bool] = ..., excluded_items: _Optional[_Iterable[int]] = ..., tag_limits: _Optional[_Iterable[_Union[TagLimit, _Mapping]]] = ..., timeout_seconds: _Optional[float] = ..., request_id: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class RankedItems(_message.Message):
    __slots__ = ("items", "scores", "baseline_ranks", "baseline_scores")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    BASELINE_RANKS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_SCORES_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    baseline_ranks: _containers.RepeatedScalarFieldContainer[int]
    baseline_scores: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, items: _Optional[_Iterable[int]] = ..., scores: _Optional[_Iterable[float]] = ..., baseline_ranks: _Optional[_Iterable[int]] = ..., baseline_scores: _Optional[_Iterable[float]] = ...) -> None: ...

class LatentActivation(_message.Message):
    __slots__ = ("latent", "activation", "edited_activation", "contributions")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    EDITED_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    latent: int
    activation: float
    edited_activation: float
    contributions: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, latent: _Optional[int] = ..., activation: _Optional[float] = ..., edited_activation: _Optional[float] = ..., contributions: _Optional[_Iterable[float]] = ...) -> None: ...

class IdleEdit(_message.Message):
    __slots__ = ("index", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class RankResponse(_message.Message):
    __slots__ = ("ranked", "baseline", "latents", "unexplained", "biases", "history", "relative_shift", "edited_latents", "idle_edits", "baseline_items")
    RANKED_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    EDITED_LATENTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_EDITS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_ITEMS_FIELD_NUMBER: _ClassVar[int]
    ranked: RankedItems
    baseline: RankedItems
    latents: _containers.RepeatedCompositeFieldContainer[LatentActivation]
    unexplained: _containers.RepeatedScalarFieldContainer[float]
    biases: _containers.RepeatedScalarFieldContainer[float]
    history: _containers.RepeatedScalarFieldContainer[int]
    relative_shift: float
    edited_latents: int
    idle_edits: _containers.RepeatedCompositeFieldContainer[IdleEdit]
    baseline_items: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ranked: _Optional[_Union[RankedItems, _Mapping]] = ..., baseline: _Optional[_Union[RankedItems, _Mapping]] = ..., latents: _Optional[_Iterable[_Union[LatentActivation, _Mapping]]] = ..., unexplained: _Optional[_Iterable[float]] = ..., biases: _Optional[_Iterable[float]] = ..., history: _Optional[_Iterable[int]] = ..., relative_shift: _Optional[float] = ..., edited_latents: _Optional[int] = ..., idle_edits: _Optional[_Iterable[_Union[IdleEdit, _Mapping]]] = ..., baseline_items: _Optional[_Iterable[int]] = ...) -> None: ...

class BatchRankRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RankRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RankRequest, _Mapping]]] = ...) -> None: ...

class RankOutcome(_message.Message):
    __slots__ = ("response", "failure")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    response: RankResponse
    failure: RankFailure
    def __init__(self, response: _Optional[_Union[RankResponse, _Mapping]] = ..., failure: _Optional[_Union[RankFailure, _Mapping]] = ...) -> None: ...

class RankFailure(_message.Message):
    __slots__ = ("code", "reason", "field", "message", "remedy", "retry_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    RETRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    field: str
    message: str
    remedy: str
    retry_seconds: float
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ..., retry_seconds: _Optional[float] = ...) -> None: ...

class BatchRankResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[RankOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[RankOutcome, _Mapping]]] = ...) -> None: ...

class ProposeRequest(_message.Message):
    __slots__ = ("release", "release_version", "items", "weights", "latents", "max_latents")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENTS_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    items: _containers.RepeatedScalarFieldContainer[int]
    weights: _containers.RepeatedScalarFieldContainer[float]
    latents: _containers.RepeatedScalarFieldContainer[int]
    max_latents: int
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ..., items: _Optional[_Iterable[int]] = ..., weights: _Optional[_Iterable[float]] = ..., latents: _Optional[_Iterable[int]] = ..., max_latents: _Optional[int] = ...) -> None: ...

class ProposeResponse(_message.Message):
    __slots__ = ("latents", "shares", "alignment", "weights")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    ALIGNMENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    latents: _containers.RepeatedScalarFieldContainer[int]
    shares: _containers.RepeatedScalarFieldContainer[float]
    alignment: float
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, latents: _Optional[_Iterable[int]] = ..., shares: _Optional[_Iterable[float]] = ..., alignment: _Optional[float] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("release", "release_version")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("release", "release_version", "recommender", "autoencoder", "model", "site", "d_model", "n_latents", "n_items", "n_users", "refused_version", "refusal", "dataset")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDER_FIELD_NUMBER: _ClassVar[int]
    AUTOENCODER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    D_MODEL_FIELD_NUMBER: _ClassVar[int]
    N_LATENTS_FIELD_NUMBER: _ClassVar[int]
    N_ITEMS_FIELD_NUMBER: _ClassVar[int]
    N_USERS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    recommender: str
    autoencoder: str
    model: str
    site: str
    d_model: int
    n_latents: int
    n_items: int
    n_users: int
    refused_version: str
    refusal: str
    dataset: str
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ..., recommender: _Optional[str] = ..., autoencoder: _Optional[str] = ..., model: _Optional[str] = ..., site: _Optional[str] = ..., d_model: _Optional[int] = ..., n_latents: _Optional[int] = ..., n_items: _Optional[int] = ..., n_users: _Optional[int] = ..., refused_version: _Optional[str] = ..., refusal: _Optional[str] = ..., dataset: _Optional[str] = ...) -> None: ...
