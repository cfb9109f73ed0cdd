"""How much work lies where."""

from __future__ import annotations

from redurable.core.delivery import Outgoing
from redurable.store.depths import Depth
from redurable.store.membership import Skills
from redurable.store.port import Hub
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EVENT, StoreFactory

HOUR_MS = 3_600_000
WORKER = Skills(("orchestrations", "activities"), ("Demo",), ("Work",), ("default",))


class TestDepths:
    async def test_an_empty_hub(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        found = await store.depths()
        assert (found.ready, found.queues) == (Depth(), {})
        assert (found.intake, found.outbox, found.answers, found.dead) == (0, 0, 0, 0)
        assert (found.timers, found.due, found.open) == (0, 0, 0)
        assert abs(found.now - (await store.upcoming([0], 0, 1)).now) < 60_000

    async def test_ready_entries_wait_then_are_held_then_are_gone(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.heartbeat(HOUR_MS, WORKER)
        names = [f"i-{n}" for n in range(6)]
        for name in names:
            await store.start(scenes.request(name))
        await store_factory.advance(5)
        waiting = (await store.depths()).ready
        assert (waiting.length, waiting.lag, waiting.pending, waiting.pending_ms) == (6, 6, 0, 0)
        assert waiting.waiting_ms >= 5
        entries = await scenes.receive(store)
        held = (await store.depths()).ready
        assert (held.length, held.lag, held.pending, held.consumers, held.waiting_ms) == (6, 0, 6, 1, 0)
        assert held.pending_ms >= 5
        for entry in entries:
            await scenes.accept(store, scenes.turn(await scenes.checkout(store, entry), f"h-{entry.instance}"))
        found = await store.depths()
        assert (found.ready, found.open) == (Depth(consumers=1), 6)

    async def test_what_waits_is_told_apart_from_what_is_held(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.heartbeat(HOUR_MS, WORKER)
        await scenes.running(store, tasks=tuple(scenes.task(seq=seq) for seq in range(1, 6)))
        leases = await store.receive_tasks(scenes.demand(2), 0)
        found = (await store.depths()).queues["default"]
        assert (found.length, found.lag, found.pending, found.consumers) == (5, 3, 2, 1)
        await store.complete([scenes.ended(lease) for lease in leases], [None, None])
        found = (await store.depths()).queues["default"]
        assert (found.length, found.lag, found.pending) == (3, 3, 0)

    async def test_queues_that_are_asked_for_or_served(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await scenes.running(store, tasks=(scenes.task(queue="vip"), scenes.task(seq=2, queue="labels")))
        assert (await store.depths()).queues == {}
        assert (await store.depths(["vip", "slow"])).queues.keys() == {"vip", "slow"}
        await store.heartbeat(HOUR_MS, WORKER)
        await store_factory.serve_queue("labels")
        found = (await store.depths(["vip", "slow"])).queues
        assert {name: depth.lag for name, depth in found.items()} == {"default": 0, "labels": 1, "slow": 0, "vip": 1}

    async def test_the_rest_of_a_hub(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request("late", delay_ms=HOUR_MS))
        await scenes.finished(store, "done")
        await scenes.running(store, outbox=(Outgoing("done", scenes.event()),))
        await store_factory.xadd_intake({b"instance": b"one", **EVENT})
        await store_factory.xadd_answer(0, {b"complete": b"1-1", b"queue": b"default", b"worker": b"w9"})
        found = await store.depths()
        assert (found.intake, found.outbox, found.answers, found.open) == (1, 1, 1, 2)
        assert (found.timers, found.due, found.dead) == (1, 0, 0)

    async def test_timers_that_are_due_and_dead_letters(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        await store.start(scenes.request("soon", delay_ms=2))
        await store_factory.xadd_intake({b"nonsense": b"1"})
        await store.route(10, 0)
        await store_factory.advance(5)
        found = await store.depths()
        assert (found.timers, found.due, found.dead) == (1, 1, 1)
        assert await scenes.fire(store) == 1
        assert await _timers(store) == (0, 0)


async def _timers(store: Hub) -> tuple[int, int]:
    found = await store.depths()
    return found.timers, found.due
