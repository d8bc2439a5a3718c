"""A language model that is asked for a while only."""

from __future__ import annotations

import pytest

from reclens.concepts.llm.chat import ChatAnswer, ChatMessage, ChatRequest
from reclens.errors import LlmInterrupted
from reclens_labeler.stages.label import TimeBoxedClient

REQUEST = ChatRequest("any", (ChatMessage("user", "?"),), {}, 8, 0.0, 0)


class Slow:
    """A model that takes twenty seconds for each answer."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0

    def complete(self, request: ChatRequest) -> ChatAnswer:
        self.now += 20
        self.asked += 1
        return ChatAnswer(str(self.asked), 1, 1, "slow", 20.0, "stop")


def test_requests_are_sent_until_the_time_is_up_and_none_is_cut_off():
    slow = Slow()
    limited = TimeBoxedClient(slow, 30, now=lambda: slow.now)
    # The clock starts with the first request, whenever that is.
    slow.now += 500
    assert [limited.complete(REQUEST).text for _ in range(2)] == ["1", "2"]
    for _ in range(2):
        with pytest.raises(LlmInterrupted):
            limited.complete(REQUEST)
    assert slow.asked == 2


def test_one_request_is_sent_however_short_the_time():
    slow = Slow()
    limited = TimeBoxedClient(slow, 0, now=lambda: slow.now)
    assert limited.complete(REQUEST).text == "1"
    with pytest.raises(LlmInterrupted):
        limited.complete(REQUEST)
