"""Drop suspended coroutines without running a line of them.

CPython closes a suspended coroutine that is dropped: it throws GeneratorExit into it, and the user's `finally` blocks
run, in whatever thread lets go. For an orchestration that merely leaves the cache that is wrong: it goes on elsewhere,
and its compensation would run although nothing failed. So the frame is marked as completed before it is dropped;
the interpreter then only frees it. The place of that mark is found by looking at a coroutine in its three states and
proven by a trial, on import. Where the proof fails (another interpreter), coroutines are closed in the usual way.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import types
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any

_COMPLETED = 1
_CLEARED = 4
_MOST_OBJECTS = 20_000

_CODE = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)
_HOLDERS = (
    types.MethodType,
    tuple,
    list,
    dict,
    set,
    deque,
    types.CellType,
    contextlib.AbstractContextManager,
    contextlib.AbstractAsyncContextManager,
    contextlib.ContextDecorator,
)
_FOLLOWED = _CODE + _HOLDERS
_OPAQUE = (type, types.ModuleType, types.FunctionType, types.FrameType)
"""Never followed: what they refer to belongs to others, too."""


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


def _states(of: Any) -> bytes:
    return ctypes.string_at(id(of), type(of).__basicsize__)


def _locate() -> int | None:
    """The offset of the frame state (a signed byte: below 0 while not begun or suspended) in a coroutine object."""

    async def probe() -> None:
        await _pause()

    coroutine = probe()
    created = _states(coroutine)
    coroutine.send(None)
    suspended = _states(coroutine)
    coroutine.close()
    closed = _states(coroutine)
    places = [
        place
        for place, states in enumerate(zip(created, suspended, closed, strict=True))
        if 0x80 <= states[0] < states[1] and states[2] == _CLEARED
    ]
    return places[0] if len(places) == 1 else None


_PLACE = _locate()


def _mark(code: Any) -> None:
    if _PLACE is not None and ctypes.c_byte.from_address(id(code) + _PLACE).value < 0:
        ctypes.c_byte.from_address(id(code) + _PLACE).value = _COMPLETED


def _prove() -> bool:
    ran: list[str] = []

    @contextlib.contextmanager
    def manager() -> Generator[None, None, None]:
        try:
            yield
        finally:
            ran.append("manager")

    async def inner() -> None:
        with manager():
            await _pause()

    async def outer() -> None:
        try:
            await inner()
        finally:
            ran.append("outer")

    coroutine = outer()
    coroutine.send(None)
    _abandon([coroutine])
    del coroutine
    return not ran


def abandon(roots: Iterable[Any]) -> None:
    """Mark all coroutines, generators and async generators that hang on `roots`, so that dropping them runs no code.

    `roots` are coroutines and async generators. Followed are awaits, context managers, plain containers, and all other
    objects that nobody outside refers to: iterators, and instances of the user's own classes.
    """
    if PROVEN:
        _abandon(roots)
        return
    for coroutine in roots:
        with contextlib.suppress(BaseException):
            coroutine.close()


def _abandon(roots: Iterable[Any]) -> None:
    queue: deque[tuple[Any, bool]] = deque((root, True) for root in roots)
    seen: set[tuple[int, bool]] = set()
    met: dict[int, int] = {}
    while queue and len(seen) < _MOST_OBJECTS:
        found, owned = queue.popleft()
        if (id(found), owned) in seen:
            continue
        seen.add((id(found), owned))
        referents = gc.get_referents(found)
        if isinstance(found, _CODE):
            _mark(found)
        while referents:
            item = referents.pop()
            followed, times = isinstance(item, _FOLLOWED), 0
            if owned and (followed or (gc.is_tracked(item) and not isinstance(item, _OPAQUE))):
                met[id(item)] = times = met.get(id(item), 0) + 1
            # When all references to it were met on this walk, it goes, too. Else it lives on, with what only it holds.
            goes = times > 0 and sys.getrefcount(item) - _REFERENCES_HERE == times
            if followed or goes:
                queue.append((item, goes))


def _references_here() -> int:
    """How many references `sys.getrefcount` counts for a local variable that is the only one."""
    item: Any = [[]].pop()
    return sys.getrefcount(item)


_REFERENCES_HERE = _references_here()


PROVEN = _PLACE is not None and _prove()
"""True when eviction runs no user code on this interpreter."""
