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
    __slots__ = ("item_ids",)
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class LatentWeight(_message.Message):
    __slots__ = ("latent", "weight")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    latent: int
    weight: float
    def __init__(self, latent: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class LatentEdit(_message.Message):
    __slots__ = ("latents", "operation", "strength", "unit")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    latents: _containers.RepeatedCompositeFieldContainer[LatentWeight]
    operation: EditOperation
    strength: float
    unit: StrengthUnit
    def __init__(self, latents: _Optional[_Iterable[_Union[LatentWeight, _Mapping]]] = ..., operation: _Optional[_Union[EditOperation, str]] = ..., strength: _Optional[float] = ..., unit: _Optional[_Union[StrengthUnit, str]] = ...) -> None: ...

class RankRequest(_message.Message):
    __slots__ = ("release", "release_version", "subject", "top_k", "exclude_seen", "edits", "mode", "include_baseline", "include_latents")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_BASELINE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_LATENTS_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    subject: Subject
    top_k: int
    exclude_seen: bool
    edits: _containers.RepeatedCompositeFieldContainer[LatentEdit]
    mode: SteeringMode
    include_baseline: bool
    include_latents: bool
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., top_k: _Optional[int] = ..., exclude_seen: _Optional[bool] = ..., edits: _Optional[_Iterable[_Union[LatentEdit, _Mapping]]] = ..., mode: _Optional[_Union[SteeringMode, str]] = ..., include_baseline: _Optional[bool] = ..., include_latents: _Optional[bool] = ...) -> None: ...

class RankedItem(_message.Message):
    __slots__ = ("item_id", "score", "baseline_rank", "baseline_score")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_RANK_FIELD_NUMBER: _ClassVar[int]
    BASELINE_SCORE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    baseline_rank: int
    baseline_score: float
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., baseline_rank: _Optional[int] = ..., baseline_score: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("items", "baseline", "latents", "unexplained", "biases", "history_item_ids", "relative_shift", "edited_latents", "idle_edits")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    EDITED_LATENTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_EDITS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RankedItem]
    baseline: _containers.RepeatedCompositeFieldContainer[RankedItem]
    latents: _containers.RepeatedCompositeFieldContainer[LatentActivation]
    unexplained: _containers.RepeatedScalarFieldContainer[float]
    biases: _containers.RepeatedScalarFieldContainer[float]
    history_item_ids: _containers.RepeatedScalarFieldContainer[str]
    relative_shift: float
    edited_latents: int
    idle_edits: _containers.RepeatedCompositeFieldContainer[IdleEdit]
    def __init__(self, items: _Optional[_Iterable[_Union[RankedItem, _Mapping]]] = ..., baseline: _Optional[_Iterable[_Union[RankedItem, _Mapping]]] = ..., latents: _Optional[_Iterable[_Union[LatentActivation, _Mapping]]] = ..., unexplained: _Optional[_Iterable[float]] = ..., biases: _Optional[_Iterable[float]] = ..., history_item_ids: _Optional[_Iterable[str]] = ..., relative_shift: _Optional[float] = ..., edited_latents: _Optional[int] = ..., idle_edits: _Optional[_Iterable[_Union[IdleEdit, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("code", "reason", "field", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    field: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class BatchRankResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[RankOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[RankOutcome, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("release", "release_version")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("release", "release_version", "recommender", "autoencoder", "model", "site", "d_model", "n_latents", "n_items", "n_users", "refused_version", "refusal")
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
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ..., recommender: _Optional[str] = ..., autoencoder: _Optional[str] = ..., model: _Optional[str] = ..., site: _Optional[str] = ..., d_model: _Optional[int] = ..., n_latents: _Optional[int] = ..., n_items: _Optional[int] = ..., n_users: _Optional[int] = ..., refused_version: _Optional[str] = ..., refusal: _Optional[str] = ...) -> None: ...
