"""What other programs may do to the indexes of instances: pages pass over it, and the janitor's walk puts it right."""

from __future__ import annotations

from redurable.core.values import RuntimeStatus
from redurable.store.queries import Query
from redurable.store.redis.store import RedisStore
from redurable.testing.conformance import scenes


async def walk(store: RedisStore) -> list[str]:
    return sorted(snapshot.instance for snapshot in (await store.query(Query(), 100)).snapshots)


async def mend(store: RedisStore) -> int:
    mended = 0
    for number in range(store.partitions):
        cursor, some = await store.mend(number, "", 10)
        mended += some
        while cursor:
            cursor, some = await store.mend(number, cursor, 10)
            mended += some
    return mended


async def test_an_instance_that_was_deleted_by_hand_is_passed_over_and_forgotten(store: RedisStore) -> None:
    for name in ("gone", "there"):
        await scenes.finished(store, name, f"{name}-x")
    await store.lane.call("DEL", store.layout.of("gone").instance("gone"))
    assert await walk(store) == ["there"]
    assert sum((await store.counts()).instances.values()) == 2
    assert await mend(store) > 0
    assert (await store.counts()).instances == {("Demo", RuntimeStatus.COMPLETED): 1}
    assert await mend(store) == 0


async def test_entries_that_were_spoiled_are_put_right(store: RedisStore) -> None:
    await scenes.running(store, "one")
    keys = store.layout.of("one")
    await store.lane.call("DEL", keys.ix, keys.names)
    await store.lane.call("ZADD", keys.named("Demo"), 5, "one")
    await store.lane.call("ZADD", keys.parked, 5, b"\xff")
    assert await walk(store) == []
    await mend(store)
    assert await walk(store) == ["one"]
    assert (await store.counts()).instances == {("Demo", RuntimeStatus.RUNNING): 1}


async def test_an_index_of_another_type_holds_nothing_and_stops_nobody(store: RedisStore) -> None:
    keys = store.layout.of("one")
    await store.lane.call("SET", keys.ix, "spoiled")
    await store.lane.call("SET", keys.named("Demo"), "spoiled")
    await scenes.finished(store, "one")
    assert await walk(store) == []
    assert (await store.counts()).instances == {}
    assert await store.purge("one") == "purged"
