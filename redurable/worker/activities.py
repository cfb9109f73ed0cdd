"""Runs activities: async functions on the worker's loop, the others in threads, as many at once as there are slots.

Tasks come from commits (asked for in the same step), from this role's own reads, and from leases that ran out. A task
is held, and renewed, until its completion is accepted; its slot is free again when the function has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from functools import partial

import anyio
from anyio import CapacityLimiter
from msgspec import Struct

from redurable.authoring.definitions import ActivityDefinition
from redurable.facts import ActivityAttempted, TaskStarted
from redurable.store.port import TaskEnd, TaskLease
from redurable.worker.attempt import attempt, put_back
from redurable.worker.code import Code
from redurable.worker.common import Common, log
from redurable.worker.ends import Ended, Ends
from redurable.worker.holdings import TaskKey, task_key
from redurable.worker.slots import Slots

CANCEL_SECONDS = 1.0
"""How long cancelled activities may take to clean up when the worker stops."""


class _Running(Struct, frozen=True):
    """An attempt under way, since when (seconds of the performance counter)."""

    lease: TaskLease
    is_async: bool
    since: float


class Activities:
    """The running attempts, those that wait for a slot, and the loop that receives more.

    `share`: the role's own reads ask for this fraction (1/share) of the free slots; the rest is left to commits.
    """

    name = "activities"

    def __init__(self, common: Common, code: Code, slots: Slots, ends: Ends, share: int) -> None:
        self.slots = slots
        self._common = common
        self._code = code
        self._ends = ends
        self._share = share
        self._threads = CapacityLimiter(common.settings.thread_concurrency)
        self._attempts: dict[TaskKey, tuple[_Running, asyncio.Task[tuple[TaskEnd, str]]]] = {}
        self._waiting: dict[bool, deque[tuple[TaskLease, ActivityDefinition]]] = {True: deque(), False: deque()}
        self._unknown: set[str] = set()
        self._ended = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Receive tasks while the worker takes on new ones. When cancelled, cancel all attempts."""
        self._broken = asyncio.get_running_loop().create_future()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._receive)
                await self._broken
        finally:
            for _, attempt in self._attempts.values():
                attempt.cancel()
            with anyio.move_on_after(CANCEL_SECONDS, shield=True):
                await self._until_idle()

    def begin(self, leases: Iterable[TaskLease]) -> None:
        """Run these tasks, as slots allow. Those that are held already are not begun twice."""
        for lease in leases:
            key = task_key(lease)
            if key in self._common.holdings.tasks or key in self._attempts:
                continue
            self._common.holdings.tasks[key] = lease
            definition = self._code.activity(lease.task.name)
            if definition is None:
                self._put_back(lease)
            elif self.slots.take(definition.is_async):
                self._start(lease, definition)
            else:
                self._waiting[definition.is_async].append((lease, definition))

    def abandon(self, lost: Iterable[TaskLease]) -> None:
        """Somebody else has these tasks now: cancel them if they are async, and drop their results."""
        for lease in lost:
            key = task_key(lease)
            self._common.holdings.let_go(key)
            if key in self._attempts:
                running, attempt = self._attempts[key]
                if running.is_async:
                    attempt.cancel()
        for queue in self._waiting.values():
            held = [item for item in queue if task_key(item[0]) in self._common.holdings.tasks]
            queue.clear()
            queue.extend(held)

    async def finish(self, seconds: float) -> list[TaskLease]:
        """Let running attempts end, then cancel the async ones; return what runs even now."""
        self.abandon(lease for queue in self._waiting.values() for lease, _ in list(queue))
        with anyio.move_on_after(seconds):
            await self._until_idle()
        self.abandon([running.lease for running, _ in self._attempts.values() if running.is_async])
        with anyio.move_on_after(CANCEL_SECONDS):
            await self._until_idle(only_async=True)
        return [running.lease for running, _ in self._attempts.values()]

    async def _until_idle(self, only_async: bool = False) -> None:
        while any(running.is_async or not only_async for running, _ in self._attempts.values()):
            await self._ended.wait()

    async def _receive(self) -> None:
        while self._common.reception.open:
            with self._common.reception.reading():
                self.begin(await self._receive_some())

    async def _receive_some(self) -> list[TaskLease]:
        with self.slots.reserve(self._share) as demand:
            if demand.count:
                return await self._common.store.receive_tasks(demand, self._common.settings.poll_block_ms)
        await self.slots.freed()
        return []

    def _start(self, lease: TaskLease, definition: ActivityDefinition) -> None:
        running = _Running(lease, definition.is_async, time.perf_counter())
        task = asyncio.get_running_loop().create_task(attempt(definition, lease, self._threads))
        self._attempts[task_key(lease)] = running, task
        task.add_done_callback(partial(self._end, running))
        if self._common.facts.listening and lease.task.attempt == 1:
            waited = max(0.0, self._common.clock.now() - lease.task.scheduled_at) / 1000
            self._common.facts.announce(TaskStarted(lease.queue, waited))

    def _end(self, running: _Running, task: asyncio.Task[tuple[TaskEnd, str]]) -> None:
        lease, key = running.lease, task_key(running.lease)
        del self._attempts[key]
        self.slots.give(running.is_async)
        self._start_waiting(running.is_async)
        self._ended.set()
        self._ended.clear()
        held = self._common.holdings.tasks.get(key) is lease
        seconds = time.perf_counter() - running.since
        if not task.cancelled() and task.exception() is not None:
            self._break(task.exception())
        elif held and not task.cancelled():
            self._ends.add(Ended(*task.result(), seconds))
        elif self._common.facts.listening:
            self._common.facts.announce(ActivityAttempted(lease.task.name, "lost", seconds, retried=False))

    def _start_waiting(self, is_async: bool) -> None:
        queue = self._waiting[is_async]
        while queue and self.slots.take(is_async):
            self._start(*queue.popleft())

    def _put_back(self, lease: TaskLease) -> None:
        name = lease.task.name
        if name not in self._unknown:
            self._unknown.add(name)
            log.warning(
                "no activity %r is registered here: its tasks go back into queue %r until a worker that knows it "
                "takes them; register it, or route it to a queue of its own",
                name,
                lease.queue,
            )
        self._ends.add(Ended(put_back(lease, self._common.clock.now()), "error", 0.0))

    def _break(self, error: BaseException | None) -> None:
        if self._broken is not None and not self._broken.done() and error is not None:
            self._broken.set_exception(error)
