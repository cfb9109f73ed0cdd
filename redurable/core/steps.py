"""Tasks that no loop has made: `asyncio.Task(…)` asks its loop for nothing but its first step.

Such a task hashes by its address, so sets of them would iterate in another order on every replay; and eviction would
not know it, so its `finally` blocks would run. It is told by the kind of callback that its step is.
"""

from __future__ import annotations

import asyncio
from types import MethodType
from typing import Any, cast

from redurable.errors import NotDeterministic


class _Probe:
    """As much of a loop as a task asks for when it is made; keeps what it would call soon."""

    def call_soon(self, callback: Any, *_: Any, **__: Any) -> None:
        self.callback = callback

    def get_debug(self) -> bool:
        return False


class _Unknown:
    """No callback is of this kind."""


def _locate() -> type:
    loop: Any = _Probe()
    _drop(asyncio.Task(asyncio.sleep(0), loop=loop))
    kind = type(cast("object", loop.callback))
    return _Unknown if kind is MethodType else kind  # asyncio without its accelerator: steps look like all else.


def _drop(task: asyncio.Task[Any]) -> None:
    """It has not begun, and never will."""
    # No public name; asyncio itself sets it so on the tasks that it drops.
    task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
    coroutine: Any = task.get_coro()
    coroutine.close()


Step = _locate()
"""The type of a task's step."""


def check(step: Any, made_by_loop: type) -> None:
    """Refuse the task of this step if it is none of that type: somebody made it past the loop."""
    task = step.__self__
    if isinstance(task, made_by_loop):
        return
    _drop(task)
    raise NotDeterministic(
        "asyncio.Task(…) inside an orchestrator cannot be replayed: make the task with asyncio.create_task(…)"
    )
