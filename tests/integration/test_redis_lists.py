"""What other programs may do to the indexes of instances: pages pass over it, and the janitor's walk puts it right."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreDamaged
from redurable.store.families import purge_family
from redurable.store.queries import Query
from redurable.store.redis.listing import base_of
from redurable.store.redis.store import RedisStore
from redurable.testing.conformance import scenes
from redurable.testing.conformance.queries import walk as pages
from redurable.testing.conformance.queries import work
from redurable.testing.conformance.retention import child

FIELDS = "snxkhqtcuozpybg"
"""All fields of the hash of an instance."""
LONG_AGO, LATER = 1_700_000_000_000, 1_790_000_000_000
CHANGED = Query(updated_from=1)
COMPLETED = Query(statuses=(RuntimeStatus.COMPLETED,))


async def walk(store: RedisStore) -> list[str]:
    return sorted(snapshot.instance for snapshot in (await store.query(Query(), 100)).snapshots)


async def test_an_instance_that_was_deleted_by_hand_is_passed_over_and_forgotten(store: RedisStore) -> None:
    for name in ("gone", "there"):
        await scenes.finished(store, name, f"{name}-x")
    await store.lane.call("DEL", store.layout.of("gone").instance("gone"))
    assert await walk(store) == ["there"]
    assert sum((await store.counts()).instances.values()) == 2
    assert await scenes.mend(store, 10) > 0
    assert (await store.counts()).instances == {("Demo", RuntimeStatus.COMPLETED): 1}
    assert await scenes.mend(store, 10) == 0


async def test_entries_that_were_spoiled_are_put_right(store: RedisStore) -> None:
    await scenes.running(store, "one")
    keys = store.layout.of("one")
    await store.lane.call("DEL", keys.ix, keys.updated, keys.names)
    await store.lane.call("ZADD", keys.named("Demo"), 5, "one")
    await store.lane.call("ZADD", keys.parked, 5, b"\xff")
    assert await walk(store) == []
    await scenes.mend(store, 10)
    assert await walk(store) == ["one"]
    assert len((await store.query(CHANGED, 10)).snapshots) == 1
    assert (await store.counts()).instances == {("Demo", RuntimeStatus.RUNNING): 1}


@pytest.mark.parametrize("most", [0, 2, 3])
async def test_however_many_changed_a_walk_meets_each_once(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("redurable.store.redis.queries._MOST_CHANGED", most)
    names = ["one", "two", "three"]
    for name in names:
        await scenes.running(store, name, f"{name}-x")
    assert sorted(await pages(store, 1, updated_from=1)) == sorted(names)
    assert await pages(store, 1, updated_from=1, statuses=(RuntimeStatus.FAILED,)) == []


async def _listed(store: RedisStore, count: int, changed: int, failed: int = 0) -> None:
    """Instances as the indexes know them, one a second; every so many has changed later, the newest have failed."""
    for number in range(count):
        name = f"i-{number}"
        keys, created = store.layout.of(name), LONG_AGO + 1000 * number
        status = RuntimeStatus.FAILED if number >= count - failed else RuntimeStatus.COMPLETED
        updated = LATER if number % changed == 0 else created
        fields = "s", status, "n", "Demo", "x", "x1", "k", 1, "c", created, "u", updated
        await store.lane.call("HSET", keys.instance(name), *fields)
        await store.lane.call("ZADD", keys.ix, base_of(status) + created, name)
        await store.lane.call("ZADD", keys.updated, updated, name)


@pytest.mark.parametrize("many", [True, False])
async def test_pages_by_last_change_are_full_though_few_have_changed(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    monkeypatch.setattr("redurable.store.redis.queries._MOST_CHANGED", 0)
    await _listed(store, 1_800, changed=1 if many else 90)
    since = LONG_AGO if many else LATER
    first = await store.query(Query(updated_from=since), 20)
    assert [one.updated_at for one in first.snapshots] == [LATER] * 20
    every = await pages(store, 20, updated_from=since)
    assert every == sorted(set(every), key=lambda name: -int(name[2:]))
    assert len(every) == (1_800 if many else 20)


async def test_a_page_looks_at_few_though_all_of_a_status_came_at_once(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day on which everything fails lies before years in which nothing did."""
    await _listed(store, 1_500, changed=1, failed=600)
    looked: list[int] = []
    script = store.lane.script

    async def run(name: str, *parts: Any) -> Any:
        answer = await script(name, *parts)
        if name == "find":
            looked.append(answer[1])
        return answer

    monkeypatch.setattr(store.lane, "script", run)
    assert len((await store.query(Query(), 20)).snapshots) == 20
    assert sum(looked) < 200


async def test_an_index_of_another_type_holds_nothing_and_stops_nobody(store: RedisStore) -> None:
    keys = store.layout.of("one")
    await store.lane.call("SET", keys.ix, "spoiled")
    await store.lane.call("SET", keys.named("Demo"), "spoiled")
    await scenes.finished(store, "one")
    assert await walk(store) == []
    assert (await store.counts()).instances == {}
    assert await store.purge("one") == "purged"


@pytest.mark.parametrize("value", [None, b"\xff", b"nonsense", b"", b"-1", b"1e400"])
async def test_a_spoiled_instance_stops_neither_lists_nor_the_retention(store: RedisStore, value: bytes | None) -> None:
    for field in FIELDS:
        await store.start(scenes.request(f"mother-{field}", f"m-{field}"))
        await store.start(scenes.request(f"alone-{field}", f"a-{field}"))
        await child(store, f"child-{field}", f"mother-{field}", f"c-{field}")
    every = [f"{who}-{field}" for field in FIELDS for who in ("mother", "alone", "child")]
    await work(store, **dict.fromkeys(every, RuntimeStatus.COMPLETED))
    for field in FIELDS:
        for name in (f"alone-{field}", f"child-{field}"):
            key = store.layout.of(name).instance(name)
            await (store.lane.call("HDEL", key, field) if value is None else store.lane.call("HSET", key, field, value))
    mothers = {name for name in every if name.startswith("mother")}
    assert mothers < set(await walk(store))
    assert mothers < {found.instance for found in (await store.query(COMPLETED, 100)).snapshots}
    await store.counts()
    await scenes.mend(store, 10)
    for number in scenes.everywhere(store):
        for eldest in await store.expired(number, {RuntimeStatus.COMPLETED: 0}, 100):
            await purge_family(store, eldest)
    assert not mothers & set(await walk(store))


async def test_entries_of_what_has_not_ended_so_hide_none_that_has(store: RedisStore) -> None:
    keys = store.layout.of("one")
    names = [name for name in (f"i-{n}" for n in range(200)) if store.layout.of(name).number == keys.number][:4]
    await scenes.finished(store, "one")
    for name in names:
        await store.start(scenes.request(name, f"{name}-x"))
    await work(store, **dict.fromkeys(names, RuntimeStatus.FAILED))
    for entry in (*names, b"\xff", "nobody"):
        await store.lane.call("ZADD", keys.ended, base_of(RuntimeStatus.COMPLETED), entry)
    ages = {RuntimeStatus.COMPLETED: 0, RuntimeStatus.FAILED: 0}
    assert [found.instance for found in await store.expired(keys.number, ages, 1)] == ["one"]
    await scenes.mend(store)
    found = [found.instance for found in await store.expired(keys.number, ages, 10)]
    assert (found[0], sorted(found[1:])) == ("one", sorted(names))
    assert await store.lane.call("ZCARD", keys.ended) == 5


@pytest.mark.parametrize("score", [0, base_of(RuntimeStatus.FAILED), base_of(RuntimeStatus.FAILED) - 1])
async def test_an_entry_says_when_one_has_ended_and_with_which_status(store: RedisStore, score: int) -> None:
    await scenes.finished(store, "one")
    keys, ages = store.layout.of("one"), {RuntimeStatus.COMPLETED: 0}
    await store.lane.call("ZADD", keys.ended, score, "one")
    assert await store.expired(keys.number, ages, 1) == []
    assert await scenes.mend(store) == 1
    assert [found.instance for found in await store.expired(keys.number, ages, 1)] == ["one"]
    assert await scenes.mend(store) == 0


@pytest.mark.parametrize("field", ["x", "n"])
async def test_who_has_lost_an_id_or_a_name_is_deleted_and_replaced(store: RedisStore, field: str) -> None:
    for name in ("one", "two"):
        await scenes.finished(store, name, f"{name}-x")
        await store.lane.call("HDEL", store.layout.of(name).instance(name), field)
    with anyio.fail_after(10):
        assert await store.purge("one") == "purged"
        assert await store.start(scenes.request("two", "x2", on_conflict="replace-finished")) == "started"


async def test_a_spoiled_instance_says_so_itself(store: RedisStore) -> None:
    await scenes.running(store, "one")
    await store.lane.call("HSET", store.layout.of("one").instance("one"), "k", "nonsense")
    with pytest.raises(StoreDamaged, match=r"cannot be read: .*nonsense"):
        await store.get("one")
    await store.lane.call("HDEL", store.layout.of("one").instance("one"), "k", "x")
    with pytest.raises(StoreDamaged, match=r"cannot be read: its hash has lost x, k"):
        await store.get("one")
