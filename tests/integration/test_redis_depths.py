"""How much work lies where, on real servers: right where the server's own figure is not, and not to be blinded."""

from __future__ import annotations

import pytest

from redurable.core.ids import partition_of
from redurable.core.messages import StartExecution
from redurable.store.depths import Depth
from redurable.store.membership import Skills
from redurable.store.port import StartRequest
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore


async def begin(store: RedisStore, count: int) -> None:
    for number in range(count):
        await store.start(StartRequest(f"i-{number}", StartExecution(name="Order", execution=f"e{number}")))


async def test_deleting_what_nobody_has_received_hides_no_work(store: RedisStore, foreign: Lane) -> None:
    """XINFO GROUPS answers nil for the lag then, or a number that is too high."""
    await begin(store, 40)
    number = partition_of("i-0", store.partitions)
    ready = store.layout.partition(number).ready
    [held] = await store.receive([number], 1, 0)
    unread = [entry_id for entry_id, _ in await foreign.call("XRANGE", ready, f"({held.id}", "+")]
    before = await store.depths()
    await foreign.call("XDEL", ready, unread[1])
    found = (await store.depths()).ready
    assert (found.lag, found.pending) == (before.ready.lag - 1, 1) == (38, 1)
    await foreign.call("XDEL", ready, *unread)
    assert (await store.depths()).ready.lag == 40 - 1 - len(unread)


async def test_a_consumer_is_counted_once_and_forgotten_with_the_time(
    store: RedisStore, foreign: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(store.partitions):
        for consumer in ("one", "two"):
            await foreign.call("XGROUP", "CREATECONSUMER", store.layout.partition(number).ready, "w", consumer)
    assert (await store.depths()).ready.consumers == 2
    monkeypatch.setattr("redurable.store.redis.depths.SEEN_MS", 0)
    assert (await store.depths()).ready.consumers == 0


async def test_a_server_takes_many_queues_in_several_steps(store: RedisStore) -> None:
    await begin(store, 5)
    names = [f"queue-{number}" for number in range(300)]
    found = await store.depths(names)
    assert (list(found.queues), set(found.queues.values())) == (sorted(names), {Depth()})
    assert found.ready.lag == 5


async def test_what_others_wrote_over_counts_as_empty(store: RedisStore, foreign: Lane) -> None:
    await begin(store, 8)
    await store.heartbeat(60_000, Skills(("activities",), task_queues=("default",)))
    keys, hub = store.layout.partition(0), store.layout.hub
    lost = await foreign.call("XLEN", keys.ready)
    await foreign.call("HSET", hub.skills, "other", b"[" * 100_000)
    await foreign.call("SADD", hub.queues, b"\xff", "labels")
    for key in (keys.ready, keys.queue("default"), keys.timers, keys.open, keys.outbox, keys.answers, hub.intake):
        await foreign.call("SET", key, "something else")
    found = await store.depths()
    assert (found.ready.lag, set(found.queues), found.intake) == (8 - lost, {"default", "labels"}, 0)
    assert found.open == 8 - lost
