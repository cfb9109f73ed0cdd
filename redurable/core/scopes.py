"""anyio keeps the cancel scopes within a scope in a set, and sets of scopes iterate by address.

Cancelling a scope would reach the tasks of a group in another order on every replay. So on a deterministic loop these
sets are replaced by ones that iterate in the order of insertion.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_BACKEND = "anyio._backends._asyncio"

_done: list[str] = []


class InOrder(dict[Any, None]):
    """A set, as far as anyio uses it, in the order of insertion."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)

    def remove(self, item: Any) -> None:
        del self[item]


def put_in_order(inside: Callable[[], bool]) -> None:
    """From now on order the scopes that are made while `inside()`. Does nothing while this process has not used anyio:
    what runs here, does, long before an orchestrator can."""
    if _done or _BACKEND not in sys.modules:
        return
    _done.append(_BACKEND)
    scope: Any = sys.modules[_BACKEND].CancelScope
    make = scope.__init__

    def make_in_order(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        if inside():
            self._child_scopes = InOrder()

    scope.__init__ = make_in_order
