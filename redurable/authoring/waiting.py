"""Futures made of futures: a wait with a deadline, the first of several, all in the order in which they were done.

Everything is wired by done callbacks, without tasks. The loop feeds one event of the history at a time, so callbacks
run in history order. Futures of the engine that were done before they came here carry `position`, the place in the
history of the event that settled them; without it, the order of the arguments decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redurable.core.issued import EventWait

T = TypeVar("T")


def with_deadline(event: EventWait[T], timer: asyncio.Future[None], text: str) -> asyncio.Future[T]:
    """The same wait, which fails with `TimeoutError(text)` when `timer` is done first; else the timer is cancelled."""

    def on_timer(_: asyncio.Future[None]) -> None:
        if not timer.cancelled():
            event.time_out(text, getattr(timer, "position", 0))

    event.add_done_callback(lambda _: timer.cancel())
    timer.add_done_callback(on_timer)
    return event


def select(awaitables: Sequence[Awaitable[T]]) -> asyncio.Future[tuple[int, T]]:
    """The index and the result of the first that is done; the others are cancelled. `awaitables` must not be empty."""
    futures: list[asyncio.Future[T]] = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    outcome: asyncio.Future[tuple[int, T]] = asyncio.get_running_loop().create_future()
    winner: asyncio.Future[T] | None = None

    def on_done(future: asyncio.Future[T]) -> None:
        nonlocal winner
        error = error_of(future)
        if outcome.done():
            return
        winner = future
        if error is None:
            outcome.set_result((futures.index(future), future.result()))
        else:
            outcome.set_exception(error)

    def cancel_losers(_: asyncio.Future[tuple[int, T]]) -> None:
        for future in futures:
            if future is winner:
                continue
            # A wait that was done, too, has lost all the same: its event is for the next one.
            future.give_up() if isinstance(future, EventWait) else future.cancel()

    outcome.add_done_callback(cancel_losers)
    _listen(futures, on_done)
    return outcome


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
    for future in sorted(done, key=lambda future: getattr(future, "position", 0)):
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
