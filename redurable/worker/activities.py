"""Runs activities: async functions on the worker's loop, the others in threads, as many at once as there are slots.

Tasks come from commits (asked for in the same step) and from this role's own reads. A task is held, and renewed, until
its completion is accepted; its slot is free again when the function has ended, which may be later: after a timeout.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Set
from functools import partial

import anyio
from anyio import CapacityLimiter
from msgspec import Raw, Struct
from msgspec.structs import replace

from redurable.authoring.activity_context import Pulse
from redurable.authoring.definitions import ActivityDefinition
from redurable.core.traces import OpenSpan
from redurable.core.values import ABSENT
from redurable.facts import ActivityAttempted, TaskStarted
from redurable.store.port import TaskLease
from redurable.worker.attempt import Finished, Working, attempt
from redurable.worker.code import Code
from redurable.worker.common import Common, log
from redurable.worker.ends import Ended, Ends
from redurable.worker.holdings import TaskKey, task_key
from redurable.worker.slots import Slots
from redurable.worker.spans import attempted
from redurable.worker.unwanted import Call, Unwanted, call_of
from redurable.worker.verdicts import (
    Begun,
    Verdict,
    fell_silent,
    not_completed,
    put_back,
    stopped,
    too_late,
    unwanted,
)

CANCEL_SECONDS = 1.0
"""How long cancelled activities may take to clean up when the worker stops."""


class _Running(Struct, frozen=True):
    """An attempt under way, since when (seconds of the performance counter)."""

    begun: Begun
    is_async: bool
    since: float

    @property
    def lease(self) -> TaskLease:
        return self.begun.lease


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
        self._max_payload = common.settings.max_payload_bytes
        self._attempts: dict[TaskKey, tuple[_Running, asyncio.Task[Finished]]] = {}
        self._stragglers: set[Working] = set()
        self._unwanted = Unwanted()
        self._unfinished: dict[TaskKey, Raw] = {}
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
            for attempt in [*self._stragglers, *(attempt for _, attempt in self._attempts.values())]:
                attempt.cancel()
            with anyio.move_on_after(CANCEL_SECONDS, shield=True):
                await self._until_idle()
                if self._stragglers:
                    await asyncio.wait(self._stragglers)

    def begin(self, leases: Iterable[TaskLease]) -> None:
        """Run these tasks, as slots allow. Those that are held already are not begun twice."""
        for lease in leases:
            key = task_key(lease)
            if key in self._common.holdings.tasks or key in self._attempts:
                continue
            if lease.task in self._unwanted:
                self._report(unwanted(lease))
                continue
            self._common.holdings.tasks[key] = lease
            definition = self._code.activity(lease.task.name)
            if lease.task.held is not None:
                self._report(not_completed(lease, self._common.clock.now()))
            elif definition is None:
                self._put_back(lease)
            elif self.slots.take(definition.is_async):
                self._start(lease, definition)
            else:
                self._waiting[definition.is_async].append((lease, definition))

    def bury(self, leases: Iterable[TaskLease]) -> None:
        """Their holders let these leases run out: the attempts have ended, and the next ones come from the queues."""
        for lease in leases:
            key = task_key(lease)
            if key not in self._common.holdings.tasks:
                self._common.holdings.tasks[key] = lease
                late = unwanted(lease) if lease.task in self._unwanted else fell_silent(lease, self._common.clock.now())
                self._report(late)

    def with_heartbeats(self, leases: Iterable[TaskLease]) -> list[TaskLease]:
        """These leases, with the heartbeat details that the store does not have yet. It has them from now on, as far as
        the ends of these attempts are concerned."""
        return [self._with_heartbeat(lease) for lease in leases]

    def abandon(self, lost: Iterable[TaskLease]) -> None:
        """Somebody else has these tasks now: cancel them if they are async, and drop their results."""
        for lease in lost:
            key = task_key(lease)
            self._common.holdings.let_go(key)
            if key in self._attempts:
                running, attempt = self._attempts[key]
                running.begun.pulse.cancel()
                if running.is_async:
                    attempt.cancel()
        self._forget_waiting()

    def cancel(self, calls: Set[Call]) -> None:
        """Nobody waits for these calls any more. What waits for a slot is not begun. What runs hears of it; async
        functions are cancelled, and again when they still clean up after a grace period."""
        self._unwanted.add(calls)
        waiting = {task_key(lease) for queue in self._waiting.values() for lease, _ in queue}
        for key, lease in list(self._common.holdings.tasks.items()):
            if call_of(lease.task) not in calls:
                continue
            running, attempt = self._attempts.get(key, (None, None))
            if running is not None and attempt is not None:
                self._stop(running, attempt)
            elif key in waiting:
                self._common.holdings.let_go(key)
                self._report(unwanted(lease))
        self._forget_waiting()

    async def finish(self, seconds: float) -> list[TaskLease]:
        """Let running attempts end, then cancel the async ones and tell the others; return what runs even now."""
        self.abandon(lease for queue in self._waiting.values() for lease, _ in list(queue))
        with anyio.move_on_after(seconds):
            await self._until_idle()
        for running, _ in self._attempts.values():
            running.begun.pulse.cancel()
        self.abandon([running.lease for running, _ in self._attempts.values() if running.is_async])
        with anyio.move_on_after(CANCEL_SECONDS):
            await self._until_idle(only_async=True)
        return [running.lease for running, _ in self._attempts.values()]

    def as_left(self, leases: Iterable[TaskLease]) -> list[TaskLease]:
        """These leases, with the newest heartbeat details of attempts that were cancelled when this worker stopped."""
        return [
            replace(lease, heartbeat=self._unfinished[key]) if (key := task_key(lease)) in self._unfinished else lease
            for lease in leases
        ]

    async def _until_idle(self, only_async: bool = False) -> None:
        while any(running.is_async or not only_async for running, _ in self._attempts.values()):
            await self._ended.wait()

    async def _receive(self) -> None:
        polls = self._common.polls
        while self._common.reception.open:
            with self._common.reception.reading():
                polls.begin("tasks")
                try:
                    received = await self._receive_some()
                finally:
                    polls.end("tasks")
                self.begin(received)

    async def _receive_some(self) -> list[TaskLease]:
        with self.slots.reserve(self._share) as demand:
            if demand.count:
                return await self._common.store.receive_tasks(demand, self._common.settings.poll_block_ms)
        await self.slots.freed()
        return []

    def _start(self, lease: TaskLease, definition: ActivityDefinition) -> None:
        clock = self._common.clock
        late = too_late(lease, clock.now())
        if late is not None:
            self.slots.give(definition.is_async)
            self._report(late)
            return
        pulse = Pulse(self._max_payload, clock.monotonic)
        worker, now = self._common.ownership.worker, clock.now()
        begun = Begun(lease, worker, round(now), pulse, self._common.store.hub, self._span(lease, now))
        running = _Running(begun, definition.is_async, time.perf_counter())
        task = asyncio.get_running_loop().create_task(attempt(definition, begun, self._threads, clock))
        self._attempts[task_key(lease)] = running, task
        task.add_done_callback(partial(self._end, running))
        if self._common.facts.listening and lease.task.attempt == 1:
            waited = max(0.0, clock.now() - lease.task.scheduled_at) / 1000
            trace_id = lease.task.trace.trace_id if lease.task.trace else ""
            self._common.facts.announce(TaskStarted(lease.queue, waited, lease.task.instance, trace_id))

    def _span(self, lease: TaskLease, now: float) -> OpenSpan | None:
        tracing = self._common.tracing
        if tracing is None or lease.task.trace is None:
            return None
        return tracing.attempt(attempted(lease, lease.task.trace, self._common.ownership.worker, now))

    def _end(self, running: _Running, task: asyncio.Task[Finished]) -> None:
        lease, key = running.lease, task_key(running.lease)
        del self._attempts[key]
        self._ended.set()
        self._ended.clear()
        error = None if task.cancelled() else task.exception()
        finished = None if task.cancelled() or error is not None else task.result()
        if finished is not None and finished.straggler is not None:
            self._stragglers.add(finished.straggler)
            finished.straggler.add_done_callback(partial(self._straggled, running))
        else:
            self._free(running.is_async)
        seconds = time.perf_counter() - running.since
        if error is not None:
            self._break(error)
        elif finished is not None and self._common.holdings.tasks.get(key) is lease:
            self._report((finished.end, finished.outcome), seconds, running.begun.span)
        else:
            self._drop(running, seconds)

    def _stop(self, running: _Running, attempt: asyncio.Task[Finished]) -> None:
        """The task is over at once, so that nobody takes it over; its function may clean up."""
        self._common.holdings.let_go(task_key(running.lease))
        self._report(stopped(running.begun), time.perf_counter() - running.since, running.begun.span)
        running.begun.pulse.cancel()
        if running.is_async:
            attempt.cancel()
            grace = self._common.settings.cancel_grace_ms / 1000
            asyncio.get_running_loop().call_later(grace, self._enforce, running, attempt)

    def _enforce(self, running: _Running, attempt: asyncio.Task[Finished]) -> None:
        if not attempt.done():
            log.warning(
                "activity %s was cancelled, and still runs: cancelled again", running.lease.task.idempotency_key
            )
            attempt.cancel()

    def _forget_waiting(self) -> None:
        """Drop what waits for a slot and is not held any more."""
        for queue in self._waiting.values():
            held = [item for item in queue if task_key(item[0]) in self._common.holdings.tasks]
            queue.clear()
            queue.extend(held)

    def _straggled(self, running: _Running, working: Working) -> None:
        """A function that ran on after a timeout has ended; nobody waits for what it says."""
        self._stragglers.discard(working)
        self._free(running.is_async)
        if not working.cancelled():
            log.info("activity %s ended after it had timed out", running.lease.task.idempotency_key)

    def _free(self, is_async: bool) -> None:
        self.slots.give(is_async)
        self._start_waiting(is_async)

    def _drop(self, running: _Running, seconds: float) -> None:
        if running.lease.task in self._unwanted:
            return  # It was told of when it was stopped.
        details = running.begun.pulse.details
        if details is not ABSENT and not self._common.reception.open:
            self._unfinished[task_key(running.lease)] = details
        if running.begun.span is not None and not self._common.reception.open:
            # It is handed back. Of an attempt that another worker took over, that one tells.
            running.begun.span.end("lost", None, seconds)
        if self._common.facts.listening:
            task = running.lease.task
            self._common.facts.announce(ActivityAttempted(task.name, "lost", seconds, False, task.instance))

    def _report(self, verdict: Verdict, seconds: float = 0.0, span: OpenSpan | None = None) -> None:
        self._ends.add(Ended(*verdict, seconds, span))

    def _with_heartbeat(self, lease: TaskLease) -> TaskLease:
        running, _ = self._attempts.get(task_key(lease), (None, None))
        if running is None or running.lease is not lease:
            return lease
        pulse = running.begun.pulse
        details = pulse.details
        if details is pulse.stored:
            return lease
        pulse.stored = details
        return replace(lease, heartbeat=details)

    def _start_waiting(self, is_async: bool) -> None:
        queue = self._waiting[is_async]
        while queue and self.slots.take(is_async):
            self._start(*queue.popleft())

    def _put_back(self, lease: TaskLease) -> None:
        name = lease.task.name
        elsewhere = self._common.crew.runs(name, lease.queue)
        if not elsewhere and name not in self._unknown:
            self._unknown.add(name)
            log.warning(
                "no worker registers the activity %r: its tasks go back into queue %r until one does; register it, "
                "route it to a queue of its own, or run no activities here (roles)",
                name,
                lease.queue,
            )
        self._report(put_back(lease, self._common.clock.now(), elsewhere))

    def _break(self, error: BaseException | None) -> None:
        if self._broken is not None and not self._broken.done() and error is not None:
            self._broken.set_exception(error)
