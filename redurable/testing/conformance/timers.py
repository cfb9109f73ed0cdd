"""Durable timers."""

from __future__ import annotations

from redurable.core.delivery import Timer
from redurable.core.events import ExecutionCompleted
from redurable.core.messages import TimerDue
from redurable.core.values import RuntimeStatus
from redurable.store.port import DueTimer
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory


class TestTimers:
    async def test_a_timer_fires_when_it_is_due(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        now = (await store.upcoming([0], 0, 1)).now
        due, later = now + 1, now + 3_600_000
        written = (await scenes.running(store, timers=(Timer(2, later), Timer(1, due)))).timers
        assert {(timer.due, timer.partition) for timer in written} == {
            (due, scenes.partition(store, "one")),
            (later, scenes.partition(store, "one")),
        }
        await store_factory.advance(2)
        fired = await store.fire(sorted(written))
        assert (fired.fired, fired.early) == (1, (max(written),))
        assert fired.now >= due
        assert scenes.said(await scenes.take(store)) == [TimerDue(execution="x1", seq=1, due=due)]

    async def test_a_timer_fires_once(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        timers = (await scenes.running(one, timers=(Timer(1, 1), Timer(2, 2)))).timers
        fired = await scenes.together(lambda: one.fire(timers), lambda: two.fire(timers))
        assert sum(answer.fired for answer in fired) == 2
        assert (await one.fire(timers)).fired == 0
        assert len((await scenes.take(one)).mails) == 2

    async def test_upcoming_timers_come_earliest_first(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        now = (await store.upcoming([0], 0, 1)).now
        for n in range(6):
            await scenes.running(store, f"i-{n}", timers=(Timer(1, now + 100_000 * (6 - n)), Timer(2, 5 + n)))
        coming = await store.upcoming(scenes.everywhere(store), 350_000, 100)
        assert [timer.due - now if timer.due > now else timer.due for timer in coming.timers] == [
            *range(5, 11),
            100_000,
            200_000,
            300_000,
        ]
        assert {timer.partition for timer in coming.timers} == {scenes.partition(store, f"i-{n}") for n in range(6)}
        assert (await store.upcoming(scenes.everywhere(store), 350_000, 4)).timers == coming.timers[:4]
        here = scenes.partition(store, "i-0")
        assert {timer.partition for timer in (await store.upcoming([here], 10**7, 100)).timers} == {here}

    async def test_a_due_time_far_away_is_kept_exactly(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        far = 4_102_444_800_123
        await scenes.running(store, timers=(Timer(1, far),))
        (timer,) = (await store.upcoming(scenes.everywhere(store), 10**13, 10)).timers
        assert timer.due == far
        assert (await store.fire([timer])).early == (timer,)

    async def test_a_canceled_timer_is_gone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        timers = (await scenes.running(store, timers=(Timer(1, 1), Timer(2, 2)))).timers
        await scenes.send(store, "one", scenes.event())
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised(), canceled_timers=(1,)))
        assert (await store.fire(timers)).fired == 1
        assert scenes.said(await scenes.take(store)) == [TimerDue(execution="x1", seq=2, due=2)]

    async def test_a_timer_of_an_execution_that_is_gone_is_dropped(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        timers = (await scenes.running(store, timers=(Timer(1, 1),), execution="x1")).timers
        await scenes.send(store, "one", scenes.event())
        end = scenes.turn(await scenes.take(store), "h2", scenes.raised(), next=scenes.message("x2"))
        await scenes.accept(store, end)
        assert (await store.fire(timers)).fired == 1
        delivery = await scenes.take(store)
        assert (delivery.execution, scenes.said(delivery)) == ("x2", [])

    async def test_a_timer_of_an_execution_that_has_ended_is_dropped(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        timers = (await scenes.running(store, timers=(Timer(1, 1),))).timers
        await scenes.send(store, "one", scenes.event())
        over = RuntimeStatus.COMPLETED
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", ExecutionCompleted(at=2), status=over))
        assert (await store.fire(timers)).fired == 1
        assert await scenes.receive(store) == []
        snapshot = await store.get("one")
        assert snapshot is not None
        assert snapshot.unread == 0

    async def test_a_caller_cannot_hurry_a_timer(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        later = (await store.upcoming([0], 0, 1)).now + 3_600_000
        (timer,) = (await scenes.running(store, timers=(Timer(1, later),))).timers
        fired = await store.fire([DueTimer(1, timer.partition, timer.member)])
        assert (fired.fired, fired.early) == (0, (timer,))
