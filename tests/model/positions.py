"""An exhaustive model of cached positions: by what must a worker's cached replay be recognised as a prefix of the
history? Two workers take turns of one instance; it is purged and started again, or the server fails over.

Bad is a turn decided by a replay that has seen another history than the one stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

Key = Literal["length", "execution and length", "execution, length and commit"]


class World(NamedTuple):
    """A history is a tuple of commits; caches hold (execution, history)."""

    execution: int = 1
    history: tuple[int, ...] = ()
    caches: tuple[tuple[int, tuple[int, ...]] | None, ...] = (None, None)
    next_commit: int = 1
    next_execution: int = 2
    snapshot: tuple[int, tuple[int, ...]] | None = None
    purges: int = 1
    failed_over: bool = False


def explore(
    key: Key, *, purge: bool = False, failover: bool = False, counter: bool = False, most: int = 6
) -> str | None:
    """The first wrong turn, or None. `counter`: the execution id of a new start counts from 1 again."""
    first = World(purges=1 if purge else 0)
    seen = {first}
    queue = deque([first])
    while queue:
        world = queue.popleft()
        for worker, cache in enumerate(world.caches):
            view = _view(key, world, cache)
            if view != world.history:
                return f"worker {worker} decided by {view}, the history is {world.history}"
        for reached in _steps(world, failover=failover, counter=counter, most=most):
            if reached not in seen:
                seen.add(reached)
                queue.append(reached)
    return None


def _view(key: Key, world: World, cache: tuple[int, tuple[int, ...]] | None) -> tuple[int, ...]:
    """What the replay has seen once the checkout has sent it the rest."""
    if cache is None:
        return world.history
    execution, seen = cache
    length = len(seen)
    valid = length <= len(world.history)
    if key != "length":
        valid = valid and execution == world.execution
    if key == "execution, length and commit" and seen:
        valid = valid and world.history[length - 1] == seen[-1]
    return (*seen, *world.history[length:]) if valid else world.history


def _steps(world: World, *, failover: bool, counter: bool, most: int) -> Iterator[World]:
    if world.next_commit <= most:
        history = (*world.history, world.next_commit)
        for worker in range(2):
            caches = list(world.caches)
            caches[worker] = (world.execution, history)
            yield world._replace(history=history, caches=tuple(caches), next_commit=world.next_commit + 1)
    if world.purges:
        execution = 1 if counter else world.next_execution
        yield world._replace(
            execution=execution, history=(), next_execution=world.next_execution + 1, purges=world.purges - 1
        )
    if failover and world.snapshot is None:
        yield world._replace(snapshot=(world.execution, world.history))
    if world.snapshot is not None and not world.failed_over:
        execution, history = world.snapshot
        yield world._replace(execution=execution, history=history, failed_over=True)
