"""A store whose process is killed, or stopped, at a chosen call of a verb: just before it, or when it has happened.

The worker above knows nothing of it. What is seen elsewhere is what a crash at that moment would leave: before the
call, nothing of it; after it, all of it, but its answer reached nobody.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar

from msgspec import Struct

from redurable.core.delivery import Position, TurnCommit
from redurable.store.port import Committed, Completed, TaskDemand, TaskEnd
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore

T = TypeVar("T")

Verb = Literal["commit", "complete"]


class Fault(Struct, frozen=True):
    """`nth` counts the calls of `verb` that make something true, from 1: releases of empty entries do not count.
    `trusting`: the worker believes that all code is quick, and so decides turns ahead from the beginning."""

    number: Literal["SIGKILL", "SIGSTOP"]
    when: Literal["before", "after"]
    verb: Verb
    nth: int = 1
    trusting: bool = False


def kill_before(verb: Verb, nth: int = 1, trusting: bool = False) -> Fault:
    """The process dies, and this call never happens."""
    return Fault("SIGKILL", "before", verb, nth, trusting)


def kill_after(verb: Verb, nth: int = 1, trusting: bool = False) -> Fault:
    """The process dies when this call has happened, before it learns the answer."""
    return Fault("SIGKILL", "after", verb, nth, trusting)


def stop_before(verb: Verb, nth: int = 1) -> Fault:
    """The process stands still just before this call, until it gets SIGCONT: a zombie."""
    return Fault("SIGSTOP", "before", verb, nth)


class FaultyStore(RedisStore):
    """A `RedisStore` with one fault in it."""

    def __init__(self, lane: Lane, hub: str, consumer: str, fault: Fault) -> None:
        super().__init__(lane, hub, consumer)
        self._fault = fault
        self._calls = 0

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        counts = any(commit.events for commit in commits)
        return await self._call("commit", counts, super().commit, commits, demand)

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        return await self._call("complete", True, super().complete, ends, known, count, partitions, demand)

    async def _call(self, verb: Verb, counts: bool, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        fault = self._fault
        if verb == fault.verb and counts:
            self._calls += 1
        else:
            return await call(*arguments)
        strikes = self._calls == fault.nth
        if strikes and fault.when == "before":
            os.kill(os.getpid(), signal.Signals[fault.number])
        answer = await call(*arguments)
        if strikes and fault.when == "after":
            os.kill(os.getpid(), signal.Signals[fault.number])
        return answer
