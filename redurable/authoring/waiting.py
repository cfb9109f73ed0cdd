"""Futures made of futures: a wait with a deadline, the first of several, all in the order in which they were done.

Everything is wired by done callbacks, without tasks. The loop feeds one event of the history at a time, so callbacks
run in history order. Futures and tasks that were done before they came here carry `position`, their place in the order
in which everything was done (of an event: in which it came); without it, the order of the arguments decides.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from redurable.core.issued import EventWait

T = TypeVar("T")

_JUST_NOW = math.inf
"""The place of a task that ended in this very moment, and of what no engine made."""


def with_deadline(event: EventWait[T], timer: asyncio.Future[None], text: str) -> asyncio.Future[T]:
    """The same wait, which fails with `TimeoutError(text)` when `timer` is done first; else the timer is cancelled."""

    def on_timer(_: asyncio.Future[None]) -> None:
        if not timer.cancelled():
            event.time_out(text, getattr(timer, "position", 0))

    event.add_done_callback(lambda _: timer.cancel())
    timer.add_done_callback(on_timer)
    return event


def select(awaitables: Sequence[Awaitable[T]], cancel_losers: bool = True) -> asyncio.Future[tuple[int, T]]:
    """The index and the result of the first that is done. `awaitables` must not be empty. With `cancel_losers` the
    others are cancelled, and so are all when the answer itself is cancelled."""
    futures: list[asyncio.Future[T]] = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    outcome: asyncio.Future[tuple[int, T]] = asyncio.get_running_loop().create_future()

    def on_done(future: asyncio.Future[T]) -> None:
        error = error_of(future)
        if outcome.done():
            return
        if error is None:
            outcome.set_result((futures.index(future), future.result()))
        else:
            outcome.set_exception(error)
        if cancel_losers:
            _give_up(other for other in futures if other is not future)

    def cancel_all(_: asyncio.Future[tuple[int, T]]) -> None:
        if outcome.cancelled():
            _give_up(futures)

    if cancel_losers:
        outcome.add_done_callback(cancel_all)
    _listen(futures, on_done)
    return outcome


def _give_up(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel these. A wait that has an event already, which nobody has read, gives it back."""
    for future in futures:
        future.give_up() if isinstance(future, EventWait) else future.cancel()


def join(awaitables: Sequence[Awaitable[T]]) -> asyncio.Future[list[T]]:
    """All results in the order in which they were done. Fails with the first error; the others then go on."""
    futures: list[asyncio.Future[T]] = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    outcome: asyncio.Future[list[T]] = asyncio.get_running_loop().create_future()
    results: list[T] = []

    def on_done(future: asyncio.Future[T]) -> None:
        error = error_of(future)
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
            return
        results.append(future.result())
        if len(results) == len(futures):
            outcome.set_result(results)

    def pass_on_cancellation(_: asyncio.Future[list[T]]) -> None:
        if outcome.cancelled():
            for future in futures:
                future.cancel()

    outcome.add_done_callback(pass_on_cancellation)
    _listen(futures, on_done)
    if not futures:
        outcome.set_result(results)
    return outcome


def _listen(futures: Sequence[asyncio.Future[T]], on_done: Callable[[asyncio.Future[T]], None]) -> None:
    done = [future for future in futures if future.done()]
    for future in sorted(done, key=lambda future: getattr(future, "position", _JUST_NOW)):
        future.add_done_callback(on_done)
    for future in futures:
        if not future.done():
            future.add_done_callback(on_done)


def settle(outcome: asyncio.Future[T], source: asyncio.Future[T], instead: BaseException | None = None) -> None:
    """Settle `outcome` as `source` is, at its place in the history; `instead` is told in place of its error."""
    error = instead or error_of(source)
    if error is None:
        outcome.set_result(source.result())
    else:
        outcome.set_exception(error)
    position = getattr(source, "position", None)
    if position is not None:
        setattr(outcome, "position", position)  # noqa: B010 - only futures of the engine have it


def error_of(future: asyncio.Future[Any]) -> BaseException | None:
    """Why a done future failed, or that it was cancelled."""
    # Asking for an error marks it as seen, so the loop does not report that of a loser, which is nobody's.
    return asyncio.CancelledError() if future.cancelled() else future.exception()
