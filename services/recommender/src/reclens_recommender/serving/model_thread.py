"""The one thread that runs the model, with a bounded queue before it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from reclens.errors import DeadlineExceeded, Overloaded

T = TypeVar("T")


class ModelThread:
    """Runs one job at a time off the event loop.

    One thread, because an intervention hooks the model's module while it runs: a second pass of
    the same model meanwhile would be edited as well.

    Args:
        max_waiting: jobs that may wait or run; further ones are refused at once.
    """

    def __init__(self, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._max_waiting = max_waiting
        self._free = threading.BoundedSemaphore(max_waiting)

    async def run(self, job: Callable[[], T], seconds: float) -> T:
        """The result of ``job``. One that is given up while it waits never starts.

        Raises:
            Overloaded: too many wait already.
            DeadlineExceeded: ``seconds`` passed first.
        """
        if not self._free.acquire(blocking=False):
            raise Overloaded(
                f"{self._max_waiting} requests are waiting for the model already.",
                remedy="send fewer at once, or run more replicas.",
            )
        future = self._pool.submit(job)
        # Released by the job itself: a caller that gave up does not make the model any freer.
        future.add_done_callback(lambda _: self._free.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"the model did not answer within {seconds:.3g} s.", remedy="allow more time."
            ) from error

    def close(self) -> None:
        """Drop what waits and let the running job end."""
        self._pool.shutdown(wait=True, cancel_futures=True)
