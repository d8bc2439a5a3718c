"""Labels and judgements by a language model: what is asked, what counts as an answer, what it cost.

No I/O: whoever asks brings an `LlmClient`, and an `AnswerCache` where nothing is to be paid twice.
"""
