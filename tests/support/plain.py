"""The programs of `tests/replay` on asyncio itself, with a clock that jumps: what a durable run is compared with.

The world does the same as in `Story.play`: when the program waits, the oldest activity returns its input; when none is
left, the next event is raised; when none is left either, the clock jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from redurable.core.messages import RaiseEvent
from tests.support.story import text


class _World(selectors.DefaultSelector):
    """asyncio asks the selector to wait when nothing is ready: that is when something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.happens: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            if self.happens():
                return super().select(0)
            if timeout is None:
                raise AssertionError("nothing is left to happen")
            self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.world = _World()
        super().__init__(self.world)

    def time(self) -> float:
        return self.world.now


class _Scope:
    """As much of a scope as the programs look at."""

    def __init__(self, world: _World) -> None:
        self._world = world

    @property
    def clock(self) -> int:
        return round(self._world.now * 1000)


class PlainCtx:
    """`Ctx` without anything durable."""

    def __init__(self, loop: _Loop, events: Sequence[RaiseEvent]) -> None:
        self.scope = _Scope(loop.world)
        self._loop = loop
        self._calls: deque[tuple[asyncio.Future[str], str]] = deque()
        self._events = deque(events)
        self._waits: dict[str, deque[asyncio.Future[str]]] = {}
        loop.world.happens = self._happen

    def activity(self, name: str, given: str = "null") -> asyncio.Future[str]:
        future: asyncio.Future[str] = self._loop.create_future()
        self._calls.append((future, given))
        return future

    def event(self, name: str) -> asyncio.Future[str]:
        future: asyncio.Future[str] = self._loop.create_future()
        self._waits.setdefault(name, deque()).append(future)
        return future

    def _happen(self) -> bool:
        if self._calls:
            self._settle(*self._calls.popleft())
        elif self._events:
            raised = self._events.popleft()
            waiting = self._waits[raised.name]
            future = next(future for future in waiting if not future.done())
            self._settle(future, text(raised.data))
        else:
            return False
        return True

    def _settle(self, future: asyncio.Future[str], value: str) -> None:
        if not future.done():
            future.set_result(value)


def run_plain(body: Callable[[Any], Coroutine[Any, Any, Any]], events: Sequence[RaiseEvent] = ()) -> Any:
    """The result of a program on asyncio itself."""
    loop = _Loop()
    try:
        return loop.run_until_complete(body(PlainCtx(loop, events)))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
