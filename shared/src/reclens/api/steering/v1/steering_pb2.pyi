from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SteeringMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEERING_MODE_UNSPECIFIED: _ClassVar[SteeringMode]
    STEERING_MODE_RESIDUAL: _ClassVar[SteeringMode]
    STEERING_MODE_RECONSTRUCT: _ClassVar[SteeringMode]
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

class Ablate(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Edit(_message.Message):
    __slots__ = ("latent", "concept_id", "blend", "set", "scale", "add", "ablate", "when")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    BLEND_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    ABLATE_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    latent: int
    concept_id: str
    blend: Blend
    set: float
    scale: float
    add: float
    ablate: Ablate
    when: _containers.RepeatedCompositeFieldContainer[Condition]
    def __init__(self, latent: _Optional[int] = ..., concept_id: _Optional[str] = ..., blend: _Optional[_Union[Blend, _Mapping]] = ..., set: _Optional[float] = ..., scale: _Optional[float] = ..., add: _Optional[float] = ..., ablate: _Optional[_Union[Ablate, _Mapping]] = ..., when: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ...) -> None: ...

class Blend(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[BlendPart]
    def __init__(self, parts: _Optional[_Iterable[_Union[BlendPart, _Mapping]]] = ...) -> None: ...

class BlendPart(_message.Message):
    __slots__ = ("latent", "concept_id", "weight")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    latent: int
    concept_id: str
    weight: float
    def __init__(self, latent: _Optional[int] = ..., concept_id: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("latent", "concept_id", "above", "below")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    latent: int
    concept_id: str
    above: float
    below: float
    def __init__(self, latent: _Optional[int] = ..., concept_id: _Optional[str] = ..., above: _Optional[float] = ..., below: _Optional[float] = ...) -> None: ...

class Constraints(_message.Message):
    __slots__ = ("exclude_item_ids", "tag_limits")
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    TAG_LIMITS_FIELD_NUMBER: _ClassVar[int]
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    tag_limits: _containers.RepeatedCompositeFieldContainer[TagLimit]
    def __init__(self, exclude_item_ids: _Optional[_Iterable[str]] = ..., tag_limits: _Optional[_Iterable[_Union[TagLimit, _Mapping]]] = ...) -> None: ...

class TagLimit(_message.Message):
    __slots__ = ("tag", "max_items")
    TAG_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    tag: str
    max_items: int
    def __init__(self, tag: _Optional[str] = ..., max_items: _Optional[int] = ...) -> None: ...

class PolicyRef(_message.Message):
    __slots__ = ("policy_id", "version")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    version: int
    def __init__(self, policy_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("release", "subject", "top_k", "include_seen", "edits", "mode", "include_baseline", "explain", "request_id", "policy", "constraints")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_BASELINE_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    release: str
    subject: Subject
    top_k: int
    include_seen: bool
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    mode: SteeringMode
    include_baseline: bool
    explain: bool
    request_id: str
    policy: PolicyRef
    constraints: Constraints
    def __init__(self, release: _Optional[str] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., top_k: _Optional[int] = ..., include_seen: _Optional[bool] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., mode: _Optional[_Union[SteeringMode, str]] = ..., include_baseline: _Optional[bool] = ..., explain: _Optional[bool] = ..., request_id: _Optional[str] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ...) -> None: ...

class Recommendation(_message.Message):
    __slots__ = ("item_id", "title", "tags", "score", "rank", "baseline_rank")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    BASELINE_RANK_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    score: float
    rank: int
    baseline_rank: int
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., score: _Optional[float] = ..., rank: _Optional[int] = ..., baseline_rank: _Optional[int] = ...) -> None: ...

class Versions(_message.Message):
    __slots__ = ("release", "release_version", "recommender", "autoencoder", "concepts")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDER_FIELD_NUMBER: _ClassVar[int]
    AUTOENCODER_FIELD_NUMBER: _ClassVar[int]
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    release: str
    release_version: str
    recommender: str
    autoencoder: str
    concepts: str
    def __init__(self, release: _Optional[str] = ..., release_version: _Optional[str] = ..., recommender: _Optional[str] = ..., autoencoder: _Optional[str] = ..., concepts: _Optional[str] = ...) -> None: ...

class Effect(_message.Message):
    __slots__ = ("overlap", "score_shift", "relative_shift", "edited_latents", "idle_edits", "entered_items", "mean_rank_gain", "largest_rank_gain", "concept_hits", "unknown_excluded_items", "missing_items")
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SCORE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    EDITED_LATENTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_EDITS_FIELD_NUMBER: _ClassVar[int]
    ENTERED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MEAN_RANK_GAIN_FIELD_NUMBER: _ClassVar[int]
    LARGEST_RANK_GAIN_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_HITS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_EXCLUDED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MISSING_ITEMS_FIELD_NUMBER: _ClassVar[int]
    overlap: float
    score_shift: float
    relative_shift: float
    edited_latents: int
    idle_edits: _containers.RepeatedCompositeFieldContainer[IdleEdit]
    entered_items: int
    mean_rank_gain: float
    largest_rank_gain: int
    concept_hits: _containers.RepeatedCompositeFieldContainer[ConceptHits]
    unknown_excluded_items: int
    missing_items: int
    def __init__(self, overlap: _Optional[float] = ..., score_shift: _Optional[float] = ..., relative_shift: _Optional[float] = ..., edited_latents: _Optional[int] = ..., idle_edits: _Optional[_Iterable[_Union[IdleEdit, _Mapping]]] = ..., entered_items: _Optional[int] = ..., mean_rank_gain: _Optional[float] = ..., largest_rank_gain: _Optional[int] = ..., concept_hits: _Optional[_Iterable[_Union[ConceptHits, _Mapping]]] = ..., unknown_excluded_items: _Optional[int] = ..., missing_items: _Optional[int] = ...) -> None: ...

class ConceptHits(_message.Message):
    __slots__ = ("concept_id", "label", "before", "after")
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    concept_id: str
    label: str
    before: int
    after: int
    def __init__(self, concept_id: _Optional[str] = ..., label: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class IdleEdit(_message.Message):
    __slots__ = ("index", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class FiringLatent(_message.Message):
    __slots__ = ("latent", "concept_id", "label", "confidence", "activation", "edited_activation", "contributions", "measured", "trusted")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    EDITED_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    latent: int
    concept_id: str
    label: str
    confidence: float
    activation: float
    edited_activation: float
    contributions: _containers.RepeatedScalarFieldContainer[float]
    measured: bool
    trusted: bool
    def __init__(self, latent: _Optional[int] = ..., concept_id: _Optional[str] = ..., label: _Optional[str] = ..., confidence: _Optional[float] = ..., activation: _Optional[float] = ..., edited_activation: _Optional[float] = ..., contributions: _Optional[_Iterable[float]] = ..., measured: _Optional[bool] = ..., trusted: _Optional[bool] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("latents", "unexplained", "biases")
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    UNEXPLAINED_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    latents: _containers.RepeatedCompositeFieldContainer[FiringLatent]
    unexplained: _containers.RepeatedScalarFieldContainer[float]
    biases: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, latents: _Optional[_Iterable[_Union[FiringLatent, _Mapping]]] = ..., unexplained: _Optional[_Iterable[float]] = ..., biases: _Optional[_Iterable[float]] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("items", "baseline", "effect", "explanation", "versions", "request_id", "policy")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Recommendation]
    baseline: _containers.RepeatedCompositeFieldContainer[Recommendation]
    effect: Effect
    explanation: Explanation
    versions: Versions
    request_id: str
    policy: PolicyRef
    def __init__(self, items: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ..., baseline: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ..., effect: _Optional[_Union[Effect, _Mapping]] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., request_id: _Optional[str] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ...) -> None: ...

class BatchRecommendRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RecommendRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RecommendRequest, _Mapping]]] = ...) -> None: ...

class RecommendOutcome(_message.Message):
    __slots__ = ("response", "failure")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    response: RecommendResponse
    failure: RecommendFailure
    def __init__(self, response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., failure: _Optional[_Union[RecommendFailure, _Mapping]] = ...) -> None: ...

class RecommendFailure(_message.Message):
    __slots__ = ("code", "reason", "field", "message", "retry_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    field: str
    message: str
    retry_seconds: float
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., retry_seconds: _Optional[float] = ...) -> None: ...

class BatchRecommendResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[RecommendOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[RecommendOutcome, _Mapping]]] = ...) -> None: ...

class StreamRecommendRequest(_message.Message):
    __slots__ = ("sequence", "start", "update")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    start: RecommendRequest
    update: SessionUpdate
    def __init__(self, sequence: _Optional[int] = ..., start: _Optional[_Union[RecommendRequest, _Mapping]] = ..., update: _Optional[_Union[SessionUpdate, _Mapping]] = ...) -> None: ...

class SessionUpdate(_message.Message):
    __slots__ = ("edits", "constraints", "top_k")
    EDITS_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    edits: EditList
    constraints: Constraints
    top_k: int
    def __init__(self, edits: _Optional[_Union[EditList, _Mapping]] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., top_k: _Optional[int] = ...) -> None: ...

class EditList(_message.Message):
    __slots__ = ("edits",)
    EDITS_FIELD_NUMBER: _ClassVar[int]
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    def __init__(self, edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ...) -> None: ...

class StreamRecommendResponse(_message.Message):
    __slots__ = ("sequence", "response", "failure", "superseded")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    response: RecommendResponse
    failure: RecommendFailure
    superseded: int
    def __init__(self, sequence: _Optional[int] = ..., response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., failure: _Optional[_Union[RecommendFailure, _Mapping]] = ..., superseded: _Optional[int] = ...) -> None: ...

class CompareRequest(_message.Message):
    __slots__ = ("release", "subject", "top_k", "include_seen", "constraints", "variants", "request_id")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    release: str
    subject: Subject
    top_k: int
    include_seen: bool
    constraints: Constraints
    variants: _containers.RepeatedCompositeFieldContainer[Variant]
    request_id: str
    def __init__(self, release: _Optional[str] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., top_k: _Optional[int] = ..., include_seen: _Optional[bool] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., variants: _Optional[_Iterable[_Union[Variant, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class Variant(_message.Message):
    __slots__ = ("name", "edits", "policy", "mode")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    policy: PolicyRef
    mode: SteeringMode
    def __init__(self, name: _Optional[str] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., policy: _Optional[_Union[PolicyRef, _Mapping]] = ..., mode: _Optional[_Union[SteeringMode, str]] = ...) -> None: ...

class CompareResponse(_message.Message):
    __slots__ = ("baseline", "outcomes", "versions", "request_id")
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    baseline: _containers.RepeatedCompositeFieldContainer[Recommendation]
    outcomes: _containers.RepeatedCompositeFieldContainer[VariantOutcome]
    versions: Versions
    request_id: str
    def __init__(self, baseline: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ..., outcomes: _Optional[_Iterable[_Union[VariantOutcome, _Mapping]]] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class VariantOutcome(_message.Message):
    __slots__ = ("name", "answer", "failure")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    answer: VariantAnswer
    failure: RecommendFailure
    def __init__(self, name: _Optional[str] = ..., answer: _Optional[_Union[VariantAnswer, _Mapping]] = ..., failure: _Optional[_Union[RecommendFailure, _Mapping]] = ...) -> None: ...

class VariantAnswer(_message.Message):
    __slots__ = ("items", "effect")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Recommendation]
    effect: Effect
    def __init__(self, items: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ..., effect: _Optional[_Union[Effect, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("release", "subject", "top_k", "include_seen", "request_id")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    release: str
    subject: Subject
    top_k: int
    include_seen: bool
    request_id: str
    def __init__(self, release: _Optional[str] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., top_k: _Optional[int] = ..., include_seen: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("history", "items", "explanation", "versions", "request_id")
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    history: _containers.RepeatedCompositeFieldContainer[HistoryItem]
    items: _containers.RepeatedCompositeFieldContainer[Recommendation]
    explanation: Explanation
    versions: Versions
    request_id: str
    def __init__(self, history: _Optional[_Iterable[_Union[HistoryItem, _Mapping]]] = ..., items: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ..., explanation: _Optional[_Union[Explanation, _Mapping]] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class HistoryItem(_message.Message):
    __slots__ = ("item_id", "title", "tags")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class ProposeEditRequest(_message.Message):
    __slots__ = ("release", "text", "examples", "max_latents", "trusted_only", "request_id")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENTS_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    release: str
    text: str
    examples: Examples
    max_latents: int
    trusted_only: bool
    request_id: str
    def __init__(self, release: _Optional[str] = ..., text: _Optional[str] = ..., examples: _Optional[_Union[Examples, _Mapping]] = ..., max_latents: _Optional[int] = ..., trusted_only: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class Examples(_message.Message):
    __slots__ = ("liked_item_ids", "disliked_item_ids")
    LIKED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    DISLIKED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    liked_item_ids: _containers.RepeatedScalarFieldContainer[str]
    disliked_item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, liked_item_ids: _Optional[_Iterable[str]] = ..., disliked_item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ProposeEditResponse(_message.Message):
    __slots__ = ("edit", "parts", "alignment", "items", "unmatched_words", "versions", "request_id")
    EDIT_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    ALIGNMENT_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_WORDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    edit: Edit
    parts: _containers.RepeatedCompositeFieldContainer[ProposedPart]
    alignment: float
    items: _containers.RepeatedCompositeFieldContainer[ProposedItem]
    unmatched_words: _containers.RepeatedScalarFieldContainer[str]
    versions: Versions
    request_id: str
    def __init__(self, edit: _Optional[_Union[Edit, _Mapping]] = ..., parts: _Optional[_Iterable[_Union[ProposedPart, _Mapping]]] = ..., alignment: _Optional[float] = ..., items: _Optional[_Iterable[_Union[ProposedItem, _Mapping]]] = ..., unmatched_words: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ProposedPart(_message.Message):
    __slots__ = ("latent", "weight", "concept_id", "label", "confidence", "measured", "trusted")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    latent: int
    weight: float
    concept_id: str
    label: str
    confidence: float
    measured: bool
    trusted: bool
    def __init__(self, latent: _Optional[int] = ..., weight: _Optional[float] = ..., concept_id: _Optional[str] = ..., label: _Optional[str] = ..., confidence: _Optional[float] = ..., measured: _Optional[bool] = ..., trusted: _Optional[bool] = ...) -> None: ...

class ProposedItem(_message.Message):
    __slots__ = ("item", "weight")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    item: HistoryItem
    weight: float
    def __init__(self, item: _Optional[_Union[HistoryItem, _Mapping]] = ..., weight: _Optional[float] = ...) -> None: ...

class Concept(_message.Message):
    __slots__ = ("concept_id", "label", "description", "keywords", "confidence", "precision", "recall", "n_positive", "n_negative", "latents", "evidence", "source", "parent_concept_id", "measured", "trusted", "auroc", "judgements")
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    N_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    N_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARENT_CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    AUROC_FIELD_NUMBER: _ClassVar[int]
    JUDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    concept_id: str
    label: str
    description: str
    keywords: _containers.RepeatedScalarFieldContainer[str]
    confidence: float
    precision: float
    recall: float
    n_positive: int
    n_negative: int
    latents: _containers.RepeatedScalarFieldContainer[int]
    evidence: _containers.RepeatedCompositeFieldContainer[HistoryItem]
    source: str
    parent_concept_id: str
    measured: bool
    trusted: bool
    auroc: float
    judgements: _containers.RepeatedCompositeFieldContainer[Judgement]
    def __init__(self, concept_id: _Optional[str] = ..., label: _Optional[str] = ..., description: _Optional[str] = ..., keywords: _Optional[_Iterable[str]] = ..., confidence: _Optional[float] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., n_positive: _Optional[int] = ..., n_negative: _Optional[int] = ..., latents: _Optional[_Iterable[int]] = ..., evidence: _Optional[_Iterable[_Union[HistoryItem, _Mapping]]] = ..., source: _Optional[str] = ..., parent_concept_id: _Optional[str] = ..., measured: _Optional[bool] = ..., trusted: _Optional[bool] = ..., auroc: _Optional[float] = ..., judgements: _Optional[_Iterable[_Union[Judgement, _Mapping]]] = ...) -> None: ...

class Judgement(_message.Message):
    __slots__ = ("judge", "confidence", "precision", "recall", "recall_low", "recall_high", "specificity", "specificity_low", "specificity_high", "auroc", "n_positive", "n_negative", "trusted", "shuffled_confidence", "shuffled_auroc")
    JUDGE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RECALL_LOW_FIELD_NUMBER: _ClassVar[int]
    RECALL_HIGH_FIELD_NUMBER: _ClassVar[int]
    SPECIFICITY_FIELD_NUMBER: _ClassVar[int]
    SPECIFICITY_LOW_FIELD_NUMBER: _ClassVar[int]
    SPECIFICITY_HIGH_FIELD_NUMBER: _ClassVar[int]
    AUROC_FIELD_NUMBER: _ClassVar[int]
    N_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    N_NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    SHUFFLED_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    SHUFFLED_AUROC_FIELD_NUMBER: _ClassVar[int]
    judge: str
    confidence: float
    precision: float
    recall: float
    recall_low: float
    recall_high: float
    specificity: float
    specificity_low: float
    specificity_high: float
    auroc: float
    n_positive: int
    n_negative: int
    trusted: bool
    shuffled_confidence: float
    shuffled_auroc: float
    def __init__(self, judge: _Optional[str] = ..., confidence: _Optional[float] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., recall_low: _Optional[float] = ..., recall_high: _Optional[float] = ..., specificity: _Optional[float] = ..., specificity_low: _Optional[float] = ..., specificity_high: _Optional[float] = ..., auroc: _Optional[float] = ..., n_positive: _Optional[int] = ..., n_negative: _Optional[int] = ..., trusted: _Optional[bool] = ..., shuffled_confidence: _Optional[float] = ..., shuffled_auroc: _Optional[float] = ...) -> None: ...

class ListConceptsRequest(_message.Message):
    __slots__ = ("release", "page_size", "page_token", "min_confidence")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    release: str
    page_size: int
    page_token: str
    min_confidence: float
    def __init__(self, release: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., min_confidence: _Optional[float] = ...) -> None: ...

class ListConceptsResponse(_message.Message):
    __slots__ = ("concepts", "next_page_token", "total_size")
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    concepts: _containers.RepeatedCompositeFieldContainer[Concept]
    next_page_token: str
    total_size: int
    def __init__(self, concepts: _Optional[_Iterable[_Union[Concept, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class GetConceptRequest(_message.Message):
    __slots__ = ("release", "concept_id", "include_push")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PUSH_FIELD_NUMBER: _ClassVar[int]
    release: str
    concept_id: str
    include_push: bool
    def __init__(self, release: _Optional[str] = ..., concept_id: _Optional[str] = ..., include_push: _Optional[bool] = ...) -> None: ...

class GetConceptResponse(_message.Message):
    __slots__ = ("concept", "versions", "push")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PUSH_FIELD_NUMBER: _ClassVar[int]
    concept: Concept
    versions: Versions
    push: _containers.RepeatedCompositeFieldContainer[ProposedPart]
    def __init__(self, concept: _Optional[_Union[Concept, _Mapping]] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., push: _Optional[_Iterable[_Union[ProposedPart, _Mapping]]] = ...) -> None: ...

class SearchConceptsRequest(_message.Message):
    __slots__ = ("release", "text", "item_id", "user_id", "page_size", "page_token")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    release: str
    text: str
    item_id: str
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, release: _Optional[str] = ..., text: _Optional[str] = ..., item_id: _Optional[str] = ..., user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SearchConceptsResponse(_message.Message):
    __slots__ = ("concepts", "next_page_token")
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    concepts: _containers.RepeatedCompositeFieldContainer[Concept]
    next_page_token: str
    def __init__(self, concepts: _Optional[_Iterable[_Union[Concept, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("policy_id", "version", "description", "release", "edits", "mode", "constraints", "autoencoder", "author", "changed_at", "comment", "deleted")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    AUTOENCODER_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    version: int
    description: str
    release: str
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    mode: SteeringMode
    constraints: Constraints
    autoencoder: str
    author: str
    changed_at: str
    comment: str
    deleted: bool
    def __init__(self, policy_id: _Optional[str] = ..., version: _Optional[int] = ..., description: _Optional[str] = ..., release: _Optional[str] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., mode: _Optional[_Union[SteeringMode, str]] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., autoencoder: _Optional[str] = ..., author: _Optional[str] = ..., changed_at: _Optional[str] = ..., comment: _Optional[str] = ..., deleted: _Optional[bool] = ...) -> None: ...

class CreatePolicyRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class CreatePolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("policy_id", "version")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    version: int
    def __init__(self, policy_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies", "next_page_token")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    next_page_token: str
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListPolicyVersionsRequest(_message.Message):
    __slots__ = ("policy_id", "page_size", "page_token")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    page_size: int
    page_token: str
    def __init__(self, policy_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPolicyVersionsResponse(_message.Message):
    __slots__ = ("policies", "next_page_token")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    next_page_token: str
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdatePolicyRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class UpdatePolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class DeletePolicyRequest(_message.Message):
    __slots__ = ("policy_id", "version", "comment")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    version: int
    comment: str
    def __init__(self, policy_id: _Optional[str] = ..., version: _Optional[int] = ..., comment: _Optional[str] = ...) -> None: ...

class DeletePolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: Policy
    def __init__(self, policy: _Optional[_Union[Policy, _Mapping]] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("name", "versions", "published_at", "serving", "refusal")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    versions: Versions
    published_at: str
    serving: bool
    refusal: str
    def __init__(self, name: _Optional[str] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., published_at: _Optional[str] = ..., serving: _Optional[bool] = ..., refusal: _Optional[str] = ...) -> None: ...

class GetReleaseRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases", "next_page_token")
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    next_page_token: str
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
