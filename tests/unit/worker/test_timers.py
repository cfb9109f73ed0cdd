"""Timers fire when they are due by the store's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from redurable.facts import Fact, Facts, TimersFired
from redurable.store.memory import MemoryStore
from redurable.store.memory.state import MemoryHub, timer_member
from redurable.store.port import DueTimer, Fired, Upcoming
from redurable.worker.clock import StoreClock
from redurable.worker.common import Common
from redurable.worker.crew import Crew
from redurable.worker.holdings import Holdings
from redurable.worker.ownership import Ownership
from redurable.worker.patience import PatientStore
from redurable.worker.polls import Polls
from redurable.worker.reception import Reception
from redurable.worker.timers import MOST_READ, Timers
from tests.unit.worker.stage import settings


class Recording(MemoryStore):
    """Keeps what it was asked to fire, and says `early` once for each timer if told to."""

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__(hub, "w1")
        self.asked: list[tuple[int, list[DueTimer]]] = []
        self.early = False
        self.polls = 0

    async def upcoming(self, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
        self.polls += 1
        return await super().upcoming(partitions, horizon_ms, count)

    async def fire(self, timers: Sequence[DueTimer]) -> Fired:
        self.asked.append((self.state.clock(), list(timers)))
        if self.early:
            self.early = False
            return Fired(self.state.clock() - 20, 0, tuple(timers))
        await super().fire(timers)
        return Fired(self.state.clock(), len(timers))


class Scene:
    """The timers role alone, over a hub in memory."""

    def __init__(self, horizon_ms: int = 2_000, owned: bool = True) -> None:
        self.hub = MemoryHub("stage", 2)
        self.store = Recording(self.hub)
        self.facts = Facts()
        self.told: list[TimersFired] = []
        self.fired = asyncio.Event()
        self.stood_still = 0.0
        self.facts.subscribe(self._hear)
        chosen = settings(timer_horizon_ms=horizon_ms)
        ownership = Ownership("w1", 2)
        if owned:
            ownership.assign(["w1"])
        store = PatientStore(self.store, chosen, self.facts)
        parts = StoreClock(), ownership, Holdings(), Reception(), Crew("w1"), Polls()
        common = Common(store, chosen, self.facts, *parts)
        common.clock.sync(self.hub.clock())
        self.timers = Timers(common)

    def due_in(self, ms: int, seq: int = 1) -> DueTimer:
        """A timer in the store."""
        timer = DueTimer(self.hub.clock() + ms, 0, timer_member("t", "x", seq, "one"))
        self.hub.partitions[0].timers[timer.member] = timer.due
        return timer

    @asynccontextmanager
    async def playing(self) -> AsyncGenerator[None]:
        """The role runs during the block."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.timers.run)
            group.start_soon(self._watch)
            yield
            await anyio.sleep(0.002)  # Who watches has woken since.
            group.cancel_scope.cancel()

    async def until_fired(self, count: int) -> None:
        with anyio.fail_after(10):
            while sum(len(fact.lateness) for fact in self.told) < count:
                await self.fired.wait()
                self.fired.clear()

    def assert_in_time(self) -> None:
        """Within 20 ms, but for the time in which the machine let nothing here run."""
        for at, timers in self.store.asked:
            assert all(0 <= at - timer.due <= 20 + self.stood_still for timer in timers)

    async def _watch(self) -> None:
        while True:
            begin = time.time()
            await anyio.sleep(0.001)
            self.stood_still = max(self.stood_still, (time.time() - begin) * 1000)

    def _hear(self, fact: Fact) -> None:
        if isinstance(fact, TimersFired):
            self.told.append(fact)
            self.fired.set()


async def test_a_timer_fires_within_twenty_milliseconds_and_an_earlier_one_wakes_the_role() -> None:
    scene = Scene()
    async with scene.playing():
        later, earlier = scene.due_in(200, 1), scene.due_in(60, 2)
        scene.timers.add([later])
        scene.timers.add([earlier])
        await scene.until_fired(2)
    assert [timer for _, timers in scene.store.asked for timer in timers] == [earlier, later]
    scene.assert_in_time()


async def test_timers_of_others_are_found_by_the_poll_before_they_are_due() -> None:
    scene = Scene(horizon_ms=100)
    timers = [scene.due_in(150 + 10 * seq, seq) for seq in range(5)]
    async with scene.playing():
        await scene.until_fired(5)
    assert sorted(timer for _, asked in scene.store.asked for timer in asked) == timers
    scene.assert_in_time()


async def test_a_timer_that_is_early_by_the_stores_clock_is_armed_again() -> None:
    scene = Scene(owned=False)
    scene.store.early = True
    async with scene.playing():
        timer = scene.due_in(10)
        scene.timers.add([timer])
        await scene.until_fired(1)
    (_, _), (second, again) = scene.store.asked
    assert again == [timer]
    # The store's clock was said to be 20 ms behind, so it is due so much later, however late it was asked for at first.
    assert second - timer.due >= 15
    assert sum(len(fact.lateness) for fact in scene.told) == 1


async def test_what_is_beyond_the_horizon_is_left_to_the_poll_and_nothing_is_held_twice() -> None:
    scene = Scene(horizon_ms=50, owned=False)
    near, far = scene.due_in(20, 1), scene.due_in(3_600_000, 2)
    async with scene.playing():
        scene.timers.add([near, far])
        scene.timers.add([near, far])
        await scene.until_fired(1)
    assert [timers for _, timers in scene.store.asked] == [[near]]


@pytest.mark.parametrize("count", [MOST_READ + 700])
async def test_a_backlog_larger_than_one_poll_is_worked_off_at_once(count: int) -> None:
    scene = Scene(horizon_ms=60_000)
    for seq in range(count):
        scene.due_in(-1_000, seq)
    async with scene.playing():
        await scene.until_fired(count)
    assert scene.hub.partitions[0].timers == {}
    assert scene.store.polls >= 2
