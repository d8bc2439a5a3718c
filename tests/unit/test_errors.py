"""Errors are what Python programmers catch, read well, and come through Celery's JSON."""

from __future__ import annotations

import gc
import pickle
import traceback
import weakref

import pytest
from celery import Celery

from reclens import errors
from reclens.errors import (
    InvalidInput,
    InvalidSpec,
    MalformedData,
    MissingData,
    NotFound,
    RecLensError,
    Unavailable,
)

WHOLE = InvalidInput("k is larger than n_latents.", field="autoencoder.k", remedy="choose 64.")
CLASSES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RecLensError)
]


@pytest.mark.parametrize("kind", [InvalidInput, InvalidSpec, MalformedData])
def test_what_is_wrong_with_a_value_is_a_value_error(kind: type[RecLensError]) -> None:
    assert issubclass(kind, ValueError)


@pytest.mark.parametrize("kind", [NotFound, MissingData])
def test_what_is_missing_is_a_lookup_error(kind: type[RecLensError]) -> None:
    assert issubclass(kind, LookupError)
    # A KeyError would print the repr of its message.
    assert str(kind("there is no such user.")) == "there is no such user."


def test_what_can_pass_is_neither() -> None:
    assert not issubclass(Unavailable, (ValueError, LookupError))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RecLensError", "RECLENS_ERROR"),
        ("InvalidInput", "INVALID_INPUT"),
        ("MalformedData", "MALFORMED_DATA"),
        ("NotFound", "NOT_FOUND"),
        ("LlmUnavailable", "LLM_UNAVAILABLE"),
        ("RateLimited", "RATE_LIMITED"),
        ("StaleCorrection", "STALE_EDIT"),
        ("JobCancelled", "CANCELLED"),
        ("InternalError", "INTERNAL"),
    ],
)
def test_reasons_are_the_names_of_classes_but_for_a_few(name: str, reason: str) -> None:
    assert getattr(errors, name).reason == reason


def test_a_class_of_another_module_has_the_reason_of_its_base_or_its_own() -> None:
    class Away(Unavailable):
        pass

    class Gone(NotFound):
        reason = "GONE"

    assert (Away.reason, Gone.reason) == ("UNAVAILABLE", "GONE")


def test_remedy_is_a_line_of_its_own() -> None:
    assert str(WHOLE).splitlines() == [
        "autoencoder.k: k is larger than n_latents.",
        "Remedy: choose 64.",
    ]
    assert str(InvalidInput("k is odd.")) == "k is odd."
    assert traceback.format_exception_only(WHOLE) == [
        "reclens.errors.InvalidInput: autoencoder.k: k is larger than n_latents.\n"
        "Remedy: choose 64.\n"
    ]


def test_sentence_and_repr_are_one_line() -> None:
    assert WHOLE.sentence == "autoencoder.k: k is larger than n_latents. Remedy: choose 64."
    assert repr(WHOLE) == f"InvalidInput({WHOLE.sentence!r})"


@pytest.mark.parametrize("kind", CLASSES)
def test_pickle_gives_back_all_parts(kind: type[RecLensError]) -> None:
    sent = kind("it broke.", field="part", remedy="mend it.", retry_seconds=1.5)
    got = pickle.loads(pickle.dumps(sent))
    assert type(got) is kind
    assert vars(got) == vars(sent)


@pytest.mark.parametrize("kind", CLASSES)
def test_celery_gives_back_what_can_be_read(kind: type[RecLensError]) -> None:
    backend = Celery("test", backend="cache+memory://").backend
    sent = kind("it broke.", field="part", remedy="mend it.")
    got = backend.exception_to_python(backend.prepare_exception(sent, serializer="json"))
    assert type(got) is kind
    assert str(got) == sent.sentence


def test_a_kept_error_holds_nothing_of_what_was_read() -> None:
    class Document:
        """Whose end shows."""

    def read(document: Document) -> None:
        try:
            raise ValueError(document)
        except ValueError as error:
            raise InvalidInput("it cannot be read.", field="part") from error

    document = Document()
    held = weakref.ref(document)
    with pytest.raises(InvalidInput) as caught:
        read(document)
    kept = caught.value.bare()
    assert kept is caught.value
    del document, caught
    gc.collect()
    assert held() is None
    assert kept.sentence == "part: it cannot be read."
