"""Relay on real servers: crashes between its steps, concurrent callers, ids, and what foreign clients break.

A relay that dies is one whose later steps never happen, so the tests call the steps one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import msgspec
import pytest
from redis import Redis

from redurable.core.codec import encode
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.messages import (
    ActivityResult,
    RaiseEvent,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Terminate,
)
from redurable.core.values import Failure
from redurable.errors import StoreFull
from redurable.store.redis.relay import Burial, Parcel, bury, deliver, split
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import LAST_ID, outbox_fields
from tests.support.redis_state import letters, living_in, mails, relay_all, set_field, start
from tests.support.servers import Server

REFUSED = SubOrchestrationFailure(execution="e-parent", seq=3, failure=Failure(type="Taken", message="the id is taken"))


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


def event(number: int) -> RaiseEvent:
    return RaiseEvent(name="E", id=f"n{number}")


async def put_out(store: RedisStore, partition: int, item: Outgoing | DeadLetter, entry_id: str = "*") -> None:
    await store.lane.call("XADD", store.layout.partition(partition).outbox, entry_id, *outbox_fields(item))


async def read_out(store: RedisStore, partition: int) -> tuple[list[Parcel], list[Burial]]:
    """The first step of a relay."""
    entries = await store.lane.call("XRANGE", store.layout.partition(partition).outbox, "-", "+")
    return split(entries)


async def test_a_relay_dies_after_delivering_and_another_repeats_it(store: RedisStore, other: RedisStore) -> None:
    here, there = living_in(0), living_in(1)
    await start(store, here)
    await start(store, there)
    for number in range(6):
        await put_out(store, 0, Outgoing((here, there)[number % 2], event(number)))
    parcels, _ = await read_out(store, 0)
    assert await deliver(store.lane, store.layout, "p0", parcels[:3]) == [b"sent"] * 3

    assert (await other.relay(0, 100)).count == 6
    assert await mails(store, here) == [event(0), event(2), event(4)]
    assert await mails(store, there) == [event(1), event(3), event(5)]
    assert (await other.relay(0, 100)).count == 0


async def test_a_slow_relay_delivers_nothing_that_a_fast_one_delivered(store: RedisStore, other: RedisStore) -> None:
    instance = living_in(2)
    await start(store, instance)
    for number in range(3):
        await put_out(store, 0, Outgoing(instance, event(number)))
    slow, _ = await read_out(store, 0)
    for number in range(3, 5):
        await put_out(store, 0, Outgoing(instance, event(number)))
    assert (await other.relay(0, 100)).count == 5

    assert await deliver(store.lane, store.layout, "p0", slow) == [b"seen"] * 3
    assert await mails(store, instance) == [event(number) for number in range(5)]


async def test_many_relays_at_once_deliver_each_entry_once_in_order(store: RedisStore, other: RedisStore) -> None:
    targets = [living_in(partition) for partition in range(4)]
    for target in targets:
        await start(store, target)
    for number in range(200):
        await put_out(store, 3, Outgoing(targets[number % 4], event(number)))
    removed: list[int] = []

    async def run(worker: RedisStore) -> None:
        while await worker.lane.call("XLEN", worker.layout.partition(3).outbox):
            removed.append((await worker.relay(3, 7)).count)

    async with anyio.create_task_group() as group:
        for worker in (store, other, store, other):
            group.start_soon(run, worker)

    assert sum(removed) == 200
    for offset, target in enumerate(targets):
        assert await mails(store, target) == [event(number) for number in range(offset, 200, 4)]


@pytest.mark.parametrize(
    "ids",
    [
        ("5-9", "5-10", "6-2"),
        ("9-1", "10-0", "100-0"),
        ("9007199254740993-0", "9007199254740994-0", "9007199254740994-9007199254740993"),
        ("18446744073709551615-18446744073709551613", "18446744073709551615-18446744073709551614"),
    ],
)
async def test_ids_compare_as_numbers(store: RedisStore, ids: tuple[str, ...]) -> None:
    instance = living_in(1)
    await start(store, instance)
    for number, entry_id in enumerate(ids):
        await put_out(store, 0, Outgoing(instance, event(number)), entry_id)
        assert (await store.relay(0, 10)).count == 1
    assert await mails(store, instance) == [event(number) for number in range(len(ids))]


async def test_a_prefix_of_many_calls_keeps_its_order(store: RedisStore) -> None:
    instance = living_in(1)
    await start(store, instance)
    for number in range(1100):
        await put_out(store, 0, Outgoing(instance, event(number)))
    assert (await store.relay(0, 2000)).count == 1100
    assert await mails(store, instance) == [event(number) for number in range(1100)]


async def test_an_event_for_an_instance_to_come_waits_for_it(store: RedisStore) -> None:
    instance = living_in(1)
    await put_out(store, 0, Outgoing(instance, event(1)))
    await store.relay(0, 10)
    assert 0 < await store.lane.call("PTTL", store.mailbox_key(instance)) <= 7 * 24 * 3600 * 1000
    await start(store, instance)
    assert await store.lane.call("PTTL", store.mailbox_key(instance)) == -1
    assert await mails(store, instance) == [event(1)]


async def test_only_an_event_is_mourned_when_its_instance_has_finished(store: RedisStore) -> None:
    instance = living_in(1)
    await start(store, instance)
    await set_field(store, instance, "s", "Completed")
    for message in (event(1), SubOrchestrationResult(seq=1, execution="e1"), Terminate()):
        await put_out(store, 0, Outgoing(instance, message))
    await relay_all(store)
    assert await mails(store, instance) == []
    wanted = {b"reason": b"the instance has finished", b"instance": instance.encode(), b"m": encode(event(1))}
    assert await letters(store) == [wanted]


async def test_what_is_late_is_dropped(store: RedisStore) -> None:
    instance = living_in(1)
    await start(store, instance, execution="e2")
    await put_out(store, 0, Outgoing(instance, SubOrchestrationResult(seq=1, execution="e1")))
    await put_out(store, 0, Outgoing("nobody", ActivityResult(seq=1, execution="e1")))
    await relay_all(store)
    assert await mails(store, instance) == []
    assert await letters(store) == []


async def test_a_child_begins_once_and_a_taken_id_is_reported_to_the_parent(store: RedisStore) -> None:
    parent, child = living_in(0, "parent"), living_in(1, "child")
    await start(store, parent, execution="e-parent")
    begin = StartExecution(name="Ship", execution="e-child")
    await put_out(store, 0, Outgoing(child, begin, (parent, REFUSED)))
    await put_out(store, 0, Outgoing(child, begin, (parent, REFUSED)))
    await relay_all(store)
    keys = store.layout.of(child)
    assert await store.lane.call("HMGET", keys.instance(child), "n", "x", "s") == [b"Ship", b"e-child", b"Pending"]
    assert await mails(store, parent) == []

    # A repeat is also recognised when the child went on as its second execution.
    await store.lane.call("RPUSH", keys.executions(child), "e-child")
    await set_field(store, child, "x", "e-child-2")
    await put_out(store, 0, Outgoing(child, begin, (parent, REFUSED)))
    await relay_all(store)
    assert await mails(store, parent) == []

    rival = StartExecution(name="Ship", execution="e-rival")
    await put_out(store, 0, Outgoing(child, rival, (parent, REFUSED)))
    await relay_all(store)
    assert await mails(store, parent) == [REFUSED]
    assert [entry.instance for entry in await store.receive([0, 1], 10, 0)].count(child) == 1


async def test_a_detached_child_whose_id_is_taken_is_a_dead_letter(store: RedisStore) -> None:
    child = living_in(1)
    await start(store, child)
    rival = StartExecution(name="Ship", execution="e-rival")
    await put_out(store, 0, Outgoing(child, rival))
    await relay_all(store)
    wanted = {b"reason": b"the instance exists", b"instance": child.encode(), b"m": encode(rival)}
    assert await letters(store) == [wanted]


@pytest.mark.parametrize("damage", ["exhausted", "wrong type"])
async def test_a_mailbox_made_unusable_holds_up_nobody_else(store: RedisStore, foreign: Redis, damage: str) -> None:
    broken, sound = living_in(1, "broken"), living_in(1, "sound")
    await start(store, broken)
    await start(store, sound)
    if damage == "exhausted":
        foreign.xadd(store.mailbox_key(broken), {"event": "X"}, id=LAST_ID)
    else:
        foreign.set(store.mailbox_key(broken), "no stream")
    message = SubOrchestrationResult(seq=1, execution="e1")
    await put_out(store, 0, Outgoing(broken, message))
    await put_out(store, 0, Outgoing(sound, message))

    # The one who delivers dies at once; the dead letter was written in the same step as the mark.
    parcels, _ = await read_out(store, 0)
    assert await deliver(store.lane, store.layout, "p0", parcels) == [b"dead unusable", b"sent"]
    await relay_all(store)

    assert await mails(store, sound) == [message]
    [letter] = await letters(store)
    assert letter.pop(b"reason").startswith(b"mailbox is unusable: ")
    assert letter == {b"instance": broken.encode(), b"m": encode(message)}


async def test_a_dead_letter_comes_once_though_its_carrier_dies(store: RedisStore, other: RedisStore) -> None:
    letter = DeadLetter("no such event", "i-1", ((b"event", b"X"), (b"reason", b"mine"), (b"data", b"\xff")))
    await put_out(store, 0, letter)
    _, burials = await read_out(store, 0)
    assert await bury(store.lane, store.layout, "p0", burials) == 1
    assert await bury(other.lane, other.layout, "p0", burials) == 0
    assert (await other.relay(0, 10)).count == 1
    [found] = await letters(store)
    assert msgspec.msgpack.decode(found.pop(b"o")) == [[b"reason", b"mine"]]
    assert found == {b"reason": b"no such event", b"instance": b"i-1", b"event": b"X", b"data": b"\xff"}


async def test_foreign_entries_in_an_outbox_hold_up_nothing(store: RedisStore, foreign: Redis) -> None:
    instance, outbox = living_in(1), store.layout.partition(0).outbox
    await start(store, instance)
    foreign.xadd(outbox, {"hello": "world"})
    foreign.xadd(outbox, {"d": instance, "m": "{"})
    foreign.xadd(outbox, {"d": instance, "m": b'{"type":"X","y":' + b"[" * 100_000 + b"]" * 100_000 + b"}"})
    foreign.xadd(outbox, {"dead": "why", "i": "x", "o": b"\xc1"})
    await put_out(store, 0, Outgoing(instance, event(1)))
    assert (await store.relay(0, 100)).count == 5
    assert await mails(store, instance) == [event(1)]
    found = await letters(store)
    assert [letter[b"reason"].split(b":")[0] for letter in found] == [b"not an outbox entry"] * 4
    assert found[0][b"hello"] == b"world"


async def test_a_message_of_a_newer_release_is_handed_on_unread(store: RedisStore, foreign: Redis) -> None:
    instance = living_in(1)
    await start(store, instance)
    body = b'{"type":"SomethingNew","v":2,"execution":"e1","what":[1,2]}'
    foreign.xadd(store.layout.partition(0).outbox, {"d": instance, "m": body})
    assert (await store.relay(0, 10)).count == 1
    [[_, flat]] = await store.lane.call("XRANGE", store.mailbox_key(instance), "-", "+")
    assert flat == [b"m", body]


async def test_a_server_out_of_memory_gets_the_messages_later(store: RedisStore) -> None:
    instance = living_in(1)
    await start(store, instance)
    for number in range(3):
        await put_out(store, 0, Outgoing(instance, event(number)))
    await store.lane.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(StoreFull, match="out of memory"):
            await store.relay(0, 10)
    finally:
        await store.lane.call("CONFIG", "SET", "maxmemory", 0)
    assert await mails(store, instance) == []
    assert (await store.relay(0, 10)).count == 3
    assert await mails(store, instance) == [event(number) for number in range(3)]
    assert await letters(store) == []
