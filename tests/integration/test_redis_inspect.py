"""The read side on real servers: atomic where continue-as-new moves data, and not to be blinded by damaged data."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from anyio import lowlevel
from msgspec import Raw
from redis import Redis

from redurable.core.codec import encode
from redurable.core.delivery import Outgoing, Park, TurnCommit
from redurable.core.events import Event, ExecutionCompleted, ExecutionContinuedAsNew, ExecutionStarted
from redurable.core.ids import partition_of
from redurable.core.messages import RaiseEvent, StartExecution
from redurable.core.values import Parent, RuntimeStatus
from redurable.errors import StoreRefused
from redurable.store.inspect import Change
from redurable.store.port import StartRequest
from redurable.store.redis.store import RedisStore
from tests.support.redis_state import set_field
from tests.support.servers import Server

PARENT = Parent("parent", "e-parent", 4)
BEGIN = StartExecution(name="Order", execution="e1", parent=PARENT, tags={"tenant": "acme"})
P = partition_of("i-1", 4)


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


def started(execution: str, commit: str) -> ExecutionStarted:
    return ExecutionStarted(
        at=1, commit=commit, name="Order", execution=execution, parent=PARENT, tags={"tenant": "acme"}
    )


async def turn(store: RedisStore, head: str, *events: Event, next_: str = "", status: str = "Running") -> None:
    """Take the turn of i-1: its current execution ends in `next_`, if that is given."""
    [delivery] = await store.checkout(await store.receive([P], 1, 0), [None])
    commit = TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=head,
        execution=delivery.execution,
        start_consumed=delivery.start is not None,
        consumed=delivery.mails[-1].id if delivery.mails else "",
        events=events,
        status=RuntimeStatus(status),
        custom_status=Raw(b'{"step":1}'),
        next=StartExecution(name="Order", execution=next_, number=2) if next_ else None,
    )
    receipts = (await store.commit([commit])).receipts
    assert [receipt.outcome.value for receipt in receipts] == ["accepted"]


async def test_a_snapshot_follows_an_instance_from_start_to_end(store: RedisStore) -> None:
    assert await store.get("i-1") is None
    await store.start(StartRequest("i-1", BEGIN))
    await store.send([Outgoing("i-1", RaiseEvent(name="E"))])
    pending = await store.get("i-1")
    assert pending is not None
    assert (pending.status, pending.name, pending.execution, pending.number) == ("Pending", "Order", "e1", 1)
    assert (pending.start, pending.parent, pending.tags) == (BEGIN, PARENT, {"tenant": "acme"})
    assert (pending.first, pending.last, pending.length, pending.unread) == (None, None, 0, 1)
    assert pending.created_at == pending.updated_at > 1_700_000_000_000

    end = ExecutionCompleted(at=2, commit="c1", result=Raw(b'"done"'))
    await turn(store, "c1", started("e1", ""), end, status="Completed")
    done = await store.get("i-1")
    assert done is not None
    assert (done.status, done.start, done.parent, done.tags) == ("Completed", None, PARENT, {"tenant": "acme"})
    assert (done.first, done.last, done.length, done.unread) == (started("e1", ""), end, 2, 0)
    assert (done.custom_status, done.quarantined) == (Raw(b'{"step":1}'), None)
    assert done.created_at == pending.created_at


async def test_a_parked_instance_says_why(store: RedisStore) -> None:
    await store.start(StartRequest("i-1", BEGIN))
    [delivery] = await store.checkout(await store.receive([P], 1, 0), [None])
    park = Park("unknown code", 'no orchestrator "Order"\n', 1_000)
    await store.commit([TurnCommit(entry=delivery.entry, expected=delivery.head, head="c1", park=park)])
    snapshot = await store.get("i-1")
    assert snapshot is not None
    assert snapshot.quarantined is not None
    assert (snapshot.quarantined.reason, snapshot.quarantined.detail) == ("unknown code", 'no orchestrator "Order"\n')
    assert snapshot.start == BEGIN


async def test_histories_of_all_executions_stay_readable(store: RedisStore) -> None:
    await store.start(StartRequest("i-1", BEGIN))
    first = (started("e1", ""), ExecutionContinuedAsNew(at=2, commit="c1", next="e2"))
    await turn(store, "c1", *first, next_="e2")
    second = (started("e2", ""), *(ExecutionCompleted(at=n, result=Raw(b"%d" % n)) for n in range(9)))
    await turn(store, "c2", *second, status="Completed")

    assert await store.executions("i-1") == ["e1", "e2"]
    assert await store.history("i-1", "e1") == list(first)
    assert await store.history("i-1") == await store.history("i-1", "e2")
    page = await store.history("i-1", start=4, count=3)
    assert page == (await store.history("i-1"))[4:7]
    assert [event.at for event in page] == [3, 4, 5]
    assert await store.history("i-1", start=100) == await store.history("i-1", count=0) == []
    assert await store.history("i-1", "e3") == await store.history("i-9") == await store.executions("i-9") == []


async def test_damaged_data_does_not_hide_an_instance(store: RedisStore, foreign: Redis) -> None:
    keys = store.layout.of("i-1")
    await store.start(StartRequest("i-1", BEGIN))
    foreign.rpush(keys.history("i-1"), "{", encode(started("e1", "")), b"[" * 100_000)
    foreign.set(keys.start("i-1"), "{")
    foreign.set(keys.mailbox("i-1"), "no stream")
    foreign.set(keys.quarantine("i-1"), "no JSON")
    foreign.hset(keys.custom_status("i-1"), "no", "string")
    snapshot = await store.get("i-1")
    assert snapshot is not None
    assert (snapshot.status, snapshot.execution, snapshot.length) == ("Pending", "e1", 3)
    assert (snapshot.start, snapshot.first, snapshot.last, snapshot.unread) == (None, None, None, 0)
    assert (snapshot.custom_status, snapshot.quarantined and snapshot.quarantined.detail) == (None, "no JSON")
    assert await store.history("i-1", start=1, count=1) == [started("e1", "")]
    for start in (0, 2):
        with pytest.raises(StoreRefused, match=r"history of instance 'i-1' cannot be read"):
            await store.history("i-1", start=start)
    foreign.delete(keys.history("i-1"))
    foreign.set(keys.history("i-1"), "no list")
    assert (await store.get("i-1")) is not None
    foreign.set(keys.instance("i-1"), "no hash")
    assert await store.get("i-1") is None


async def test_a_status_of_another_release_is_named(store: RedisStore) -> None:
    await store.start(StartRequest("i-1", BEGIN))
    await set_field(store, "i-1", "s", "Dreaming")
    with pytest.raises(StoreRefused, match=r"'i-1'.*Dreaming"):
        await store.get("i-1")


async def test_watchers_hear_of_ends_in_several_partitions(store: RedisStore, foreign: Redis) -> None:
    here = store.layout.partition(P).feed
    positions = {number: await store.feed_position(number) for number in range(4)}
    assert positions == dict.fromkeys(range(4), "0-0")
    heard: list[tuple[int, Change]] = []

    async def watch() -> None:
        heard.extend(await store.feed(positions, 20_000))

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with anyio.fail_after(20):
            while b"cmd=xread " not in await store.lane.call("CLIENT", "LIST"):
                await lowlevel.checkpoint()
        await store.start(StartRequest("i-1", BEGIN))
        end = ExecutionContinuedAsNew(at=2, commit="c1", next="e2")
        await turn(store, "c1", started("e1", ""), end, next_="e2")
    [(number, change)] = heard
    assert (number, change.instance, change.execution, change.status) == (P, "i-1", "e1", "ContinuedAsNew")

    foreign.xadd(here, {"hello": "world"})
    foreign.xadd(here, {"i": "x", "x": "e", "s": "Dreaming"})
    await turn(store, "c2", started("e2", ""), ExecutionCompleted(at=3, commit="c2"), status="Completed")
    assert [change.status for _, change in await store.feed({**positions, P: change.id}, 0)] == ["Completed"]
    assert await store.feed({P: await store.feed_position(P)}, 0) == []
    assert await store.feed({P: await store.feed_position(P)}, 1) == []
    assert await store.feed({}, 0) == []
