"""Labels and judgements by a language model: what is asked, what counts as an answer, what it cost.

No I/O: whoever asks brings an `LlmClient`, and an `AnswerCache` where nothing is to be paid twice.
"""

from reclens.concepts.labels.llm_usage import LlmAccount, Usage
from reclens.concepts.llm.answers import JudgeAnswer, LabelAnswer
from reclens.concepts.llm.chat import (
    AnswerCache,
    ChatAnswer,
    ChatMessage,
    ChatRequest,
    JudgeOutcome,
    LabelOutcome,
    LlmClient,
    ask_judge,
    ask_label,
)
from reclens.concepts.llm.questions import (
    JUDGE_PROMPT,
    LABEL_PROMPT,
    EvidenceItem,
    JudgeQuestion,
    LabelQuestion,
    evidence_hash,
)

__all__ = [
    "JUDGE_PROMPT",
    "LABEL_PROMPT",
    "AnswerCache",
    "ChatAnswer",
    "ChatMessage",
    "ChatRequest",
    "EvidenceItem",
    "JudgeAnswer",
    "JudgeOutcome",
    "JudgeQuestion",
    "LabelAnswer",
    "LabelOutcome",
    "LabelQuestion",
    "LlmAccount",
    "LlmClient",
    "Usage",
    "ask_judge",
    "ask_label",
    "evidence_hash",
]
