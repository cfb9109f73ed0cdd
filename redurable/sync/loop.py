"""The event loop in a thread of its own in which an asynchronous client lives, for the threads that call it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from threading import Thread
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from redurable.errors import CallerError

T = TypeVar("T")

LOOK_SECONDS = 0.5
"""Python looks for signals, then lets the thread sleep: one that comes in between, such as that of Ctrl+C, is noticed
when the thread wakes up, so it does that now and then."""

_CLOSED = "the client is not open: use it inside `with Client(…) as client:`, or between open() and close()"


class Loop:
    """Enters `inside` in a new thread; `close` leaves it, and ends the thread.

    Nothing happens when one is dropped: in a fork, or at the exit of a program, there is no thread that would answer.
    """

    def __init__(self, inside: AbstractAsyncContextManager[object], name: str) -> None:
        check_no_loop()
        self._process = os.getpid()
        self._opened: Future[BlockingPortal] = Future()
        self._thread = Thread(target=anyio.run, args=(self._live, inside), name=name, daemon=True)
        self._thread.start()
        try:
            self._portal = _result(self._opened)
        except BaseException:
            if not self._opened.cancel():  # Else the wait was interrupted: what is opened nevertheless is left at once.
                self._thread.join()
            raise

    @property
    def forked(self) -> bool:
        """Whether this is the copy in a child process: threads do not live on there."""
        return self._process != os.getpid()

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Wait for the end of a call. Whatever interrupts the wait, such as Ctrl+C, cancels the call, too."""
        check_no_loop()
        if self.forked:
            raise CallerError(
                f"the client was opened in process {self._process}, and this is a fork of it, {os.getpid()}: "
                "call open() in each process, after the fork"
            )
        begun: list[anyio.CancelScope] = []

        async def scoped() -> T:
            with anyio.CancelScope() as scope:
                begun.append(scope)
                return await call()
            raise CancelledError  # Nobody waits any more.

        def interrupt() -> None:
            for scope in begun:
                scope.cancel()

        try:
            return _result(self._portal.start_task_soon(scoped))
        except CancelledError:
            raise CallerError("the client was closed by another thread during this call") from None
        except RuntimeError as error:
            if begun:
                raise
            raise not_open() from error
        except (KeyboardInterrupt, SystemExit):
            # It is begun by now, or never will be: the loop takes both in the order in which they were handed in.
            with suppress(RuntimeError):
                self._portal.call(interrupt)
            raise

    def close(self) -> None:
        """End. Calls of other threads that are under way raise `CallerError`. The copy of a fork has nothing to end."""
        if not self.forked:
            with suppress(RuntimeError):  # It may have ended by itself.
                self._portal.call(self._portal.stop, True)
            self._thread.join()

    async def _live(self, inside: AbstractAsyncContextManager[object]) -> None:
        try:
            async with inside, BlockingPortal() as portal:
                if self._opened.set_running_or_notify_cancel():
                    self._opened.set_result(portal)
                    await portal.sleep_until_stopped()
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)


def _result(future: Future[T]) -> T:
    """Its result, when it is there; a signal ends the wait at any moment."""
    while not future.done():
        with suppress(TimeoutError):
            future.exception(LOOK_SECONDS)
    return future.result()


def not_open() -> CallerError:
    """The error for a call without a loop."""
    return CallerError(_CLOSED)


def check_no_loop() -> None:
    """Raise `CallerError` where a blocking call would stop an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise CallerError(
        "redurable.sync blocks, and an event loop runs in this thread: use redurable.Client, and await its methods"
    )
