"""A test environment: apps on a hub in memory, with a worker of their own, a client, and a clock that a test moves.

    async with environment(app) as env:
        handle = await env.client.start(process_order, order)
        await env.advance(timedelta(days=7))
        assert (await handle.result()).ok

The worker is the real one without what it does periodically: in a hub that nobody else uses there is nothing to take
over, to steal or to sweep. Timers are fired from here. Invariant: the clock stands still while anything can happen
without it (`run_until_idle`), and then goes on to the very moment at which the next thing is due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.policies import milliseconds
from redurable.client import Client
from redurable.core.values import Task
from redurable.errors import CallerError
from redurable.settings import WorkerSettings
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.testing.clock import ActivityTime, AttemptKey, VirtualClock
from redurable.testing.quiet_worker import QuietWorker
from redurable.testing.work import running_attempts, something_to_do

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When the clock begins, unless a test says otherwise: a Thursday."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_FIRED = 1_000
_PASSES = 25
"""So often the event loop goes round before an activity that sleeps is believed to do nothing else."""
_LOOKS = 10
"""So often it is looked whether activities show an end, before patience is lost: a machine that stands still costs one
look, however long it does, and the event loop goes round between two."""
LIMIT = 30.0
"""Seconds of real time that an activity may run while the clock waits for it."""

_PREDICTABLE = {"lanes": 1, "concurrency": 10_000, "thread_concurrency": 1}
"""Settings under which the order of what happens depends on no thread."""
_FOR_EVER = {f"retention_{status}_ms": 0 for status in ("completed", "failed", "canceled", "terminated")}
_ALONE = {"drain_timeout_ms": 1, "timer_horizon_ms": 1}


class Environment:
    """What a test holds: `client`, a real client of the hub; `now`; and the clock's hands, `advance`."""

    def __init__(
        self, hub: MemoryHub, clock: VirtualClock, client: Client, worker: QuietWorker, patience: float
    ) -> None:
        self.client = client
        self._hub = hub
        self._clock = clock
        self._worker = worker
        self._store = MemoryStore(hub, "environment")
        self._patience = patience
        self._moving = asyncio.Lock()

    @property
    def now(self) -> datetime:
        """The time of the clock; aware, in UTC, to the millisecond."""
        return _EPOCH + timedelta(milliseconds=self._clock.milliseconds)

    async def advance(self, span: timedelta) -> None:
        """Let so much time pass. Whatever is due on the way happens, in order, each at its own time: timers, delayed
        starts, retries, time limits, sleeps of activities, and all that follows from them.

        The clock never moves on while something else can happen; see `run_until_idle`. Raises `CallerError` for a
        negative span.
        """
        if span < timedelta(0):
            raise CallerError(f"advance({span!r}): time does not go back; use a timedelta that is not negative")
        patience = _Patience(self._patience)
        async with self._moving:
            await self._settle(patience)
            target = self._clock.milliseconds + milliseconds(span)
            while (due := self._next_due()) is not None and due <= target:
                self._clock.milliseconds = due
                if self._clock.wake_due():
                    patience.renew()
                await self._settle(patience)
            self._clock.milliseconds = target

    async def run_until_idle(self) -> None:
        """Let everything happen that needs no time to pass: afterwards every instance waits for a later time or for an
        event, or has ended.

        Running activities are waited for, really. Those that sleep count as waiting for the clock; those that have a
        time limit and show no end for `patience` seconds of real time do, too. Raises `TimeoutError` when any other
        activity runs for 30 s. Should the worker die, the test's block is cancelled, and `WorkerStopped` raised.
        """
        async with self._moving:
            await self._settle(_Patience(self._patience))

    async def _settle(self, patience: _Patience) -> None:
        while True:
            if await self._fire_due():
                continue
            attempts = self._busy_attempts()
            if attempts is not None and (attempts or self._clock.sleeping()):
                await self._worker.renew()
                attempts = self._busy_attempts()
            if attempts is not None and not attempts:
                if await self._is_quiet():
                    return
            elif patience.has_run_out(attempts):
                return
            else:
                with anyio.move_on_after(patience.seconds / _LOOKS):
                    await self._hub.changed()

    async def _fire_due(self) -> int:
        everywhere = range(self._store.partitions)
        due = (await self._store.upcoming(everywhere, 0, _MOST_FIRED)).timers
        return (await self._store.fire(due)).fired if due else 0

    def _next_due(self) -> int | None:
        timers = (due for partition in self._hub.partitions for due in partition.timers.values())
        found = [due for due in (min(timers, default=None), self._clock.next_due()) if due is not None]
        return max(min(found), self._clock.milliseconds) if found else None

    def _busy_attempts(self) -> dict[AttemptKey, Task] | None:
        """The attempts that run and do not sleep; None while there is anything else to do."""
        sleeping = self._clock.sleeping()
        takes_more = len(sleeping) < self._worker.settings.concurrency
        if something_to_do(self._hub, self._worker.queues if takes_more else ()):
            return None
        running = running_attempts(self._hub)
        return {attempt: task for attempt, task in running.items() if attempt not in sleeping}

    async def _is_quiet(self) -> bool:
        """Whether nothing more comes of what is asleep."""
        for _ in range(_PASSES if self._clock.sleeping() else 0):
            await anyio.lowlevel.checkpoint()
            if self._busy_attempts() != {}:
                return False
        return True


class _Patience:
    """How long the clock waits for attempts that show no end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._seen: set[AttemptKey] = set()
        self._looked = 0.0
        self._waited = 0.0
        self._given_up: set[AttemptKey] = set()

    def renew(self) -> None:
        """Somebody was woken: it may have been one of those."""
        self._seen.clear()
        self._given_up.clear()

    def has_run_out(self, attempts: dict[AttemptKey, Task] | None) -> bool:
        """True when the same attempts, all with time limits, have been all there was for so long. None: there is more.
        Raises `TimeoutError` when no time limit will ever end them."""
        now, seen = time.monotonic(), set(attempts or ())
        if seen and seen <= self._given_up:
            return True
        if seen != self._seen:
            self._seen, self._waited = set(seen), 0.0
        else:
            self._waited += min(now - self._looked, self.seconds / _LOOKS)
        self._looked = now
        if not attempts or self._waited < self.seconds:
            return False
        endless = [task for task in attempts.values() if not _is_limited(task)]
        if endless and self._waited >= LIMIT:
            names = ", ".join(f"{task.name!r} (instance {task.instance!r})" for task in endless)
            raise TimeoutError(
                f"the clock has waited {LIMIT:g} s for activities that do not end: {names}. Let them end, or sleep, or "
                "give them a start_to_close_timeout"
            )
        if not endless:
            self._given_up |= seen
        return not endless


def environment(
    app: App,
    *more: App,
    hub: str | None = None,
    start: datetime = START,
    partitions: int = 1,
    task_queues: Iterable[str] | None = None,
    settings: WorkerSettings | None = None,
    patience: float = 1.0,
) -> AbstractAsyncContextManager[Environment]:
    """A hub in memory with a worker for these apps: `async with environment(app) as env: …`.

    `hub` defaults to the name of the first app, `start` is where the clock begins (time-zone aware). `task_queues` and
    `settings` are the worker's; without settings one thing happens at a time, so that a test comes out the same every
    time: one batch of turns, and one plain function in a thread; what has finished is kept for ever.
    `patience`: see `Environment.run_until_idle`.
    """
    if start.tzinfo is None:
        raise CallerError(f"environment(start={start!r}): a time without a zone is ambiguous: give it tzinfo=UTC")
    chosen = settings or WorkerSettings().model_copy(update=_PREDICTABLE | _FOR_EVER)
    alone = chosen.model_copy(update=_ALONE)
    made = _Hub(hub or app.name, partitions, milliseconds(start - _EPOCH))
    store = MemoryStore(made.hub, "worker", alone.max_payload_bytes)
    worker = QuietWorker.from_store([app, *more], store, task_queues=task_queues, settings=alone)
    return _opened(made, worker, patience)


class _Hub:
    """A hub and its clock, which know each other."""

    def __init__(self, name: str, partitions: int, start: int) -> None:
        self.clock = VirtualClock(start, lambda: self.hub.wake())
        self.hub = MemoryHub(name, partitions, lambda: self.clock.milliseconds)

    def owns(self, activity: ActivityContext) -> bool:
        """Whether this activity was called by an instance of this hub."""
        record = self.hub.of(activity.instance_id).instances.get(activity.instance_id)
        return record is not None and record.execution == activity.execution


@asynccontextmanager
async def _opened(made: _Hub, worker: QuietWorker, patience: float) -> AsyncGenerator[Environment]:
    most = worker.settings.max_payload_bytes
    worker.live_by(made.clock)
    store = MemoryStore(made.hub, "client", most)
    await store.open()
    with ActivityTime(made.clock, made.owns).installed(asyncio.get_running_loop()):
        async with worker.running(), Client.from_store(store, max_payload_bytes=most) as client:
            yield Environment(made.hub, made.clock, client, worker, patience)


def _is_limited(task: Task) -> bool:
    limits = task.options.timeouts
    return bool(limits.start_to_close or limits.schedule_to_close or limits.heartbeat)
