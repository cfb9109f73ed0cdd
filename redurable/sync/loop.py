"""The event loop in a thread of its own in which an asynchronous client lives, for the threads that call it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal

from redurable.errors import CallerError

T = TypeVar("T")

_CLOSED = "the client is not open: use it inside `with Client(…) as client:`, or between open() and close()"


class Loop:
    """Opens `inside`, which is entered and left by the same task; `close` leaves it, and ends the thread."""

    def __init__(self, inside: AbstractAsyncContextManager[object], name: str) -> None:
        self._process = os.getpid()
        self._closed = False
        self._waited_for: set[Future[Any]] = set()
        check_no_loop()
        with ExitStack() as exits:
            self._portal = exits.enter_context(start_blocking_portal("asyncio", name=name))
            exits.enter_context(self._portal.wrap_async_context_manager(inside))
            self._exits = exits.pop_all()

    @property
    def forked(self) -> bool:
        """Whether this is the copy in a child process: threads do not live on there."""
        return self._process != os.getpid()

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Wait for the end of a call. Whatever interrupts the wait, such as Ctrl+C, cancels the call, too."""
        check_no_loop()
        if self.forked:
            raise CallerError(
                f"the client was opened in process {self._process}, and this is a fork of it, {os.getpid()}: call open() "
                "in each process, after the fork"
            )
        if self._closed:
            raise not_open()
        try:
            future = self._portal.start_task_soon(call)
        except RuntimeError:  # It was closed just now.
            raise not_open() from None
        self._waited_for.add(future)
        try:
            if self._closed:  # `close` may not have seen this call.
                future.cancel()
            return future.result()
        except CancelledError:
            raise CallerError("the client was closed by another thread during this call") from None
        finally:
            self._waited_for.discard(future)
            future.cancel()

    def close(self) -> None:
        """End. Calls of other threads that are under way raise `CallerError`. The copy of a fork has nothing to end."""
        self._closed = True
        if not self.forked:
            for future in self._waited_for.copy():
                future.cancel()
            self._exits.close()


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
