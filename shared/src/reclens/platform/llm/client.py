"""A client of language model servers: bounded, patient with faults that pass, interruptible."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import httpx2
import structlog

from reclens import __version__
from reclens.concepts.evidence.item_text import clean
from reclens.concepts.llm.chat import ChatAnswer, ChatRequest
from reclens.errors import LlmInterrupted, LlmRefused, LlmUnavailable
from reclens.platform.backoff import FIRST_SECONDS, backoff_seconds, retry_after_seconds
from reclens.platform.llm.dialects import DIALECTS, ServerError, status_of_error, words_of_error
from reclens.platform.settings.models import LlmSettings
from reclens.proxies import named, proxy_of_url

MAX_ASKED_SECONDS = 120.0
"""A server that asks for a longer wait is taken as down: the job is better retried later."""

_CONNECT_SECONDS = 10.0
_POLL_SECONDS = 0.2
_MAX_SAID = 300  # characters of a server's words in an error
# Beside all that servers say of themselves from 500 on, as 529 and a proxy's 520 to 524.
_PASSING: Final = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.FAILED_DEPENDENCY,  # TGI: generation failed
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_NOT_PASSING: Final = {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED}
_NO_SUCH_PATH: Final = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_IMPLEMENTED,
}
_OF_ONE_REQUEST: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}

_log = structlog.get_logger(__name__)


class HttpLlmClient:
    """`LlmClient` of one endpoint, in the dialect that its settings name.

    All clients of a process for one endpoint share one semaphore. A request waits for a slot, then
    keeps it until it is answered or given up, pauses between attempts included: what the server
    cannot take, others need not try meanwhile.

    Args:
        settings: where, how, how often.
        stop: set when the worker stops. A request in flight is still waited for, as it is paid for;
            no other is sent, and no pause is sat out.
        now: the time, aware.
        jitter: a number from [0, 1).

    Raises:
        NotFound: no installed package offers the dialect.
        InvalidInput: what is offered is no dialect.

    Raises (by `complete`):
        LlmUnavailable: every attempt failed; or the server asks for a wait of over two minutes.
        LlmInterrupted: the worker is stopping.
        LlmRefused: an answer of status 4xx or 3xx that would come again.
    """

    def __init__(
        self,
        settings: LlmSettings,
        *,
        stop: threading.Event | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._stop = stop or threading.Event()
        self._now = now
        self._jitter = jitter
        self._semaphore = _semaphore_of(settings.endpoint, settings.concurrency)
        self._dialect = DIALECTS.load(settings.dialect)()
        self._url = _url(settings.endpoint, self._dialect.path)
        proxy = proxy_of_url(self._url)
        self._server = f"the language model at {settings.endpoint}{named(proxy)}"
        headers = {"user-agent": f"reclens/{__version__}"}
        if settings.token:
            headers["authorization"] = f"Bearer {settings.token.get_secret_value()}"
        self._http = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(
                settings.timeout_seconds, connect=min(_CONNECT_SECONDS, settings.timeout_seconds)
            ),
            transport=httpx2.HTTPTransport(
                proxy=proxy or None, limits=httpx2.Limits(max_connections=settings.concurrency)
            ),
            # What was asked must not end up somewhere else.
            follow_redirects=False,
        )

    def complete(self, request: ChatRequest) -> ChatAnswer:
        """Answer one request; safe to call from several threads."""
        with self._slot():
            attempt = 0
            while True:
                try:
                    return self._once(request)
                except _Fault as fault:
                    self._pause(fault, attempt)
                    attempt += 1

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        while not self._semaphore.acquire(timeout=_POLL_SECONDS):
            self._check_stop()
        try:
            self._check_stop()
            yield
        finally:
            self._semaphore.release()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise LlmInterrupted(
                f"the worker is stopping; it did not wait for the language model at "
                f"{self._settings.endpoint}.",
                field="llm.endpoint",
                remedy="none is needed: answers so far are kept, the job goes on elsewhere.",
            )

    def _once(self, request: ChatRequest) -> ChatAnswer:
        started = time.monotonic()
        content = self._post(self._dialect.body(request))
        try:
            return self._dialect.answer(content, time.monotonic() - started)
        except ServerError as error:
            raise self._refusal(
                error.status, f"{HTTPStatus.OK.value} with {error.words}"
            ) from error
        except ValueError as error:
            # Cut within its body.
            raise _Fault("something that is no chat completion") from error

    def _post(self, body: dict[str, object]) -> bytes:
        try:
            response = self._http.post(self._url, json=body)
        except httpx2.TimeoutException as error:
            raise _Fault(f"nothing in time ({type(error).__name__})") from error
        except httpx2.RequestError as error:
            raise _Fault(f"no complete response ({type(error).__name__})") from error
        if response.is_success:
            return response.content
        try:
            told = response.json()
        except (ValueError, RecursionError):
            told = None
        status, words = response.status_code, words_of_error(told) or response.text
        if status == HTTPStatus.FORBIDDEN and status_of_error(told) in _OF_ONE_REQUEST:
            status = HTTPStatus.UNPROCESSABLE_ENTITY  # a filter of contents
        said = f"{response.status_code} {clean(words, _MAX_SAID)}".strip()
        raise self._refusal(status, said, response.headers.get("retry-after"))

    def _refusal(self, status: int, said: str, retry_after: str | None = None) -> Exception:
        """What an answer of that status is: a fault that can pass, or would come again."""
        said = clean(said, _MAX_SAID)
        if status in _PASSING or (status >= 500 and status not in _NOT_PASSING):
            return _Fault(said, retry_after)
        refusal = LlmRefused(
            f"{self._server} answered {said}.",
            field="llm.endpoint",
            remedy=_remedy(status),
        )
        refusal.of_this_request = status in _OF_ONE_REQUEST
        return refusal

    def _pause(self, fault: _Fault, attempt: int) -> None:
        """Wait before the attempt after ``attempt`` (from 0), or give up."""
        asked = retry_after_seconds(fault.retry_after, self._now())
        if attempt == self._settings.retries:
            tries = f"{attempt + 1} times, lastly " if attempt else ""
            raise self._unavailable(f"{tries}with {fault.said}") from fault
        if asked is not None and asked > MAX_ASKED_SECONDS:
            raise self._unavailable(f"with {fault.said}, and asks to wait {asked:.0f} s") from fault
        jitter = self._jitter()
        seconds = backoff_seconds(attempt, jitter=jitter)
        if asked is not None:
            # Not before it asks for, and not all at once.
            seconds = asked + FIRST_SECONDS * jitter
        _log.warning("llm_retry", said=fault.said, attempt=attempt + 1, seconds=round(seconds, 2))
        self._stop.wait(seconds)
        self._check_stop()

    def _unavailable(self, how: str) -> LlmUnavailable:
        return LlmUnavailable(
            f"{self._server} answered {how}.",
            field="llm.endpoint",
            remedy="check that it runs, and RECLENS_LLM__ENDPOINT.",
        )


class _Fault(Exception):
    """An attempt failed in a way that can pass. ``said``: what the server answered, in words."""

    def __init__(self, said: str, retry_after: str | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.retry_after = retry_after


def _url(endpoint: str, path: str) -> str:
    """The address to post to; the endpoint may have the path, or a beginning of it, already."""
    parts = path.strip("/").split("/")
    for n in range(len(parts), 0, -1):
        endpoint = endpoint.removesuffix("/" + "/".join(parts[:n]))
    return f"{endpoint}/{'/'.join(parts)}"


def _remedy(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "set RECLENS_LLM__TOKEN to a token that it takes."
    redirected = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    if redirected or status in _NO_SUCH_PATH:
        return (
            "check RECLENS_LLM__ENDPOINT, which must speak /v1/chat/completions (or the path of "
            "its dialect), and the job's llm.model."
        )
    return (
        "check RECLENS_LLM__DIALECT, and that the model takes prompts this long (the job's "
        "llm.n_examples, llm.n_counter_examples and llm.max_tokens)."
    )


_semaphores: dict[tuple[str, int], threading.BoundedSemaphore] = {}
_semaphores_lock = threading.Lock()


def _semaphore_of(endpoint: str, concurrency: int) -> threading.BoundedSemaphore:
    """What all clients of this process share for that endpoint."""
    with _semaphores_lock:
        return _semaphores.setdefault(
            (endpoint, concurrency), threading.BoundedSemaphore(concurrency)
        )
