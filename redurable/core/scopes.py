"""What anyio knows of tasks, scopes and streams, where that does not fit tasks that are replayed and evicted.

It keeps the cancel scopes within a scope in a set, and sets of scopes iterate by address: cancelling a scope would
reach the tasks of a group in another order on every replay. So on a deterministic loop these sets are replaced by ones
that iterate in the order of insertion.

It keeps the scope of each task in a global dictionary, too, until the task leaves the scope, which a task that is
evicted never does. The scope refers to its task, so the dictionary's weak reference to that would never end.

Memory streams warn when they are freed and nobody has closed them. Those of what is evicted are none's fault.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

_BACKEND = "anyio._backends._asyncio"
_STREAMS = "anyio.streams.memory"

_done: list[str] = []


class InOrder(dict[Any, None]):
    """A set, as far as anyio uses it, in the order of insertion."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)

    def remove(self, item: Any) -> None:
        del self[item]


def adapt(inside: Callable[[], bool]) -> None:
    """From now on order the scopes, and silence the streams, that are made while `inside()`. Does nothing while this
    process has not used anyio: what runs here, does, long before an orchestrator can."""
    if _done or _BACKEND not in sys.modules:
        return
    _done.append(_BACKEND)
    _order(sys.modules[_BACKEND].CancelScope, inside)
    streams: Any = sys.modules[_STREAMS]
    for kind in (streams.MemoryObjectSendStream, streams.MemoryObjectReceiveStream):
        _silence(kind, inside)


def forget(tasks: Iterable[object]) -> None:
    """Let anyio forget tasks that never go on: else they stay in memory, with all that they refer to."""
    if _BACKEND in sys.modules:
        states: Any = sys.modules[_BACKEND]._task_states
        for task in tasks:
            states.pop(task, None)


def _order(scope: Any, inside: Callable[[], bool]) -> None:
    make = scope.__init__

    def make_in_order(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        if inside():
            self._child_scopes = InOrder()

    scope.__init__ = make_in_order


def _silence(stream: Any, inside: Callable[[], bool]) -> None:
    make, warn = stream.__init__, stream.__del__

    def make_silent(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self._silent = inside()

    def warn_unless_silent(self: Any) -> None:
        if not getattr(self, "_silent", False):
            warn(self)

    stream.__init__ = make_silent
    stream.__del__ = warn_unless_silent
