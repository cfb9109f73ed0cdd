"""Route on real servers: what any Redis client may write into the intake, and routers that die between their steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import msgspec
import pytest
from anyio import lowlevel
from redis import Redis

from redurable.core.messages import Malformed, RaiseEvent, StartExecution, Terminate
from redurable.core.tokens import Token, write_token
from redurable.errors import StoreDamaged
from redurable.store.port import TaskDemand
from redurable.store.redis.intake import read
from redurable.store.redis.relay import INTAKE, bury, deliver, split_intake
from redurable.store.redis.store import RedisStore, redis_store
from redurable.store.redis.tokens import settle_from_intake
from redurable.store.routing import Routed
from redurable.testing.conformance import scenes
from tests.support.redis_state import letters, mails, relay_all, set_field, start
from tests.support.servers import Server


@pytest.fixture
def foreign(server: Server) -> Iterator[Redis]:
    with server.client() as client:
        yield client


async def test_any_client_can_start_and_talk_to_an_instance(store: RedisStore, foreign: Redis) -> None:
    intake = store.layout.hub.intake
    foreign.xadd(intake, {"start": "Order", "instance": "o-1", "input": '{"n":1}', "id": "s-1"})
    foreign.xadd(intake, {"start": "Order", "instance": "o-1", "input": '{"n":1}', "id": "s-1"})
    second = foreign.xadd(intake, {"event": "Paid", "instance": "o-1", "data": "true"})
    foreign.xadd(intake, {"terminate": "enough", "instance": "o-1"})
    assert await store.route(100, 0) == Routed(4)
    snapshot = await store.get("o-1")
    assert snapshot is not None
    assert snapshot.start is not None
    assert snapshot.start == StartExecution(name="Order", execution="s-1", call=snapshot.start.call)
    assert isinstance(second, bytes)
    paid = RaiseEvent(name="Paid", data=msgspec.Raw(b"true"), id=f"intake:{second.decode()}")
    assert await mails(store, "o-1") == [paid, Terminate(reason="enough")]
    assert [entry.instance for entry in await store.receive(range(4), 10, 0)] == ["o-1"]
    assert await store.route(100, 0) == Routed()


async def test_what_the_intake_cannot_deliver_is_told_with_its_position(store: RedisStore, foreign: Redis) -> None:
    intake = store.layout.hub.intake
    await start(store, "o-1")
    await start(store, "o-2")
    await set_field(store, "o-2", "s", "Failed")
    sent: list[dict[Any, Any]] = [
        {"event": "X"},
        {"event": "X", "instance": "o-1", "data": "[" * 100_000},
        {"terminate": "now", "instance": "o-none"},
        {"event": "X", "instance": "o-2"},
        {"start": "Order", "instance": "o-1", "id": "s-9"},
    ]
    positions = [foreign.xadd(intake, fields) for fields in sent]
    assert await store.route(100, 0) == Routed(0, ("finished", "malformed", "malformed", "missing", "taken"))
    await relay_all(store)
    found = {letter.pop(b"reason"): letter for letter in await letters(store)}
    assert {reason.split(b":")[0]: set(letter) for reason, letter in found.items()} == {
        b"no field 'instance'": {b"instance", b"position", b"event"},
        b"field 'data' is nested deeper than 200 arrays and objects": {b"instance", b"position", b"event", b"data"},
        b"no such instance": {b"instance", b"position", b"terminate"},
        b"the instance has finished": {b"instance", b"position", b"event"},
        b"the instance exists": {b"instance", b"position", b"start", b"id"},
    }
    assert {letter[b"position"] for letter in found.values()} == set(positions)


async def test_fields_that_stand_there_twice_are_all_kept_and_never_routed(store: RedisStore, foreign: Any) -> None:
    """Delivering one of two events would lose the other without a word; also when the dead letter is sent anew."""
    sent = ["instance", "o-1", "event", "A", "data", "1", "event", "B", "data", "2"]
    foreign.execute_command("XADD", store.layout.hub.intake, "*", *sent)
    for _ in ("as it was sent", "sent anew"):
        assert await store.route(100, 0) == Routed(0, ("malformed",))
        (letter,) = await store.letters("", 10)
        assert letter.reason.startswith("field 'event' stands there more than once")
        assert letter.fields == ((b"event", b"A"), (b"data", b"1"), (b"event", b"B"), (b"data", b"2"))
        assert await store.redrive_letters([letter.id]) == [letter.id]


async def test_routers_that_die_between_steps_deliver_each_entry_once(store: RedisStore, foreign: Redis) -> None:
    await start(store, "o-1")
    for number in range(3):
        foreign.xadd(store.layout.hub.intake, {"event": "E", "instance": "o-1", "id": f"n{number}"})
    foreign.xadd(store.layout.hub.intake, {"nonsense": "1"})
    entries = await store.lane.call("XRANGE", store.layout.hub.intake, "-", "+")
    parcels, burials, _ = split_intake(entries)
    assert await deliver(store.lane, store.layout, INTAKE, parcels[:2]) == [b"sent"] * 2
    assert await bury(store.lane, store.layout, INTAKE, burials) == 1
    assert await store.route(100, 0) == Routed(1)
    assert await store.lane.call("XLEN", store.layout.hub.intake) == 0
    assert [message.id for message in await mails(store, "o-1") if isinstance(message, RaiseEvent)] == [
        "n0",
        "n1",
        "n2",
    ]
    assert len(await letters(store)) == 1


async def test_routers_that_die_amid_tokens_do_what_is_said_once(store: RedisStore, foreign: Redis) -> None:
    (lease,) = await scenes.with_tasks(store, scenes.task())
    token = Token(store.hub, "one", "x1", 1, 1, "default", lease.id)
    for text in (write_token(token), write_token(msgspec.structs.replace(token, seq=2))):
        foreign.xadd(store.layout.hub.intake, {"complete": text, "result": "7"})
    _, _, sayings = split_intake(await store.lane.call("XRANGE", store.layout.hub.intake, "-", "+"))
    assert [await settle_from_intake(store.lane, store.layout, saying) for saying in sayings] == [b"done", b"dead late"]
    assert await store.route(100, 0) == Routed(0)
    assert await store.lane.call("XLEN", store.layout.hub.intake) == 0
    await relay_all(store)
    (letter,) = await letters(store)
    assert b"no attempt with this token is under way" in letter[b"reason"]
    assert len(await mails(store, "one")) == 1


async def test_route_wakes_up_for_the_first_entry(store: RedisStore, foreign: Redis) -> None:
    await start(store, "o-1")
    routed: list[Routed] = []

    async def wait() -> None:
        routed.append(await store.route(10, 20_000))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        with anyio.fail_after(20):
            while b"cmd=xread " not in await store.lane.call("CLIENT", "LIST"):
                await lowlevel.checkpoint()
        foreign.xadd(store.layout.hub.intake, {"event": "E", "instance": "o-1"})
    assert routed == [Routed(1)]


async def test_an_entry_of_thousands_of_fields_is_only_a_dead_letter(store: RedisStore, foreign: Redis) -> None:
    fields: dict[Any, Any] = {f"f{number}": "x" for number in range(9_000)}
    foreign.xadd(store.layout.hub.intake, fields)
    assert await store.route(10, 0) == Routed(0, ("malformed",))
    [letter] = await letters(store)
    assert len(msgspec.msgpack.decode(letter[b"o"])) == 9_000


async def test_an_entry_that_is_far_too_large_reaches_no_worker_whole(
    server: Server, store: RedisStore, foreign: Redis
) -> None:
    """Hundreds of megabytes would not arrive in time, be asked for again and again, and hold up the intake for ever."""
    small = redis_store(server.url, store.hub, consumer="w2", max_payload=1_000)
    await small.open()
    intake = small.layout.hub.intake
    foreign.xadd(intake, {"event": "E", "instance": "big", "data": "x" * 5_000_000})
    many: dict[Any, Any] = {f"f{number}": "v" for number in range(30_000)}
    foreign.xadd(intake, {"instance": "wide", **many})
    foreign.xadd(intake, {"start": "Order", "instance": "next"})
    batch = await read(small.lane, small.layout, 10, 0)
    assert sum(len(part) for entry in batch.entries for part in entry[1]) < 200_000
    assert await small.route(10, 0) == Routed(1, ("malformed", "malformed"))
    big, wide = await small.letters("", 10)
    assert (big.instance, wide.instance) == ("big", "wide")
    assert big.reason.startswith("an entry of 5,000,021 bytes is too large to be read: keep the data elsewhere")
    assert dict(big.fields)[b"event"] == b"E"
    assert len(dict(big.fields)[b"data"]) == 1_000
    await small.close()


async def test_an_intake_that_is_no_stream_is_named(store: RedisStore, foreign: Redis) -> None:
    foreign.set(store.layout.hub.intake, "x")
    for block_ms in (0, 50):
        with pytest.raises(
            StoreDamaged, match=r":intake' is a string where redurable keeps a stream.* delete that key"
        ):
            await store.route(10, block_ms)


async def test_what_is_too_large_is_a_dead_letter_that_is_not(
    server: Server, store: RedisStore, foreign: Redis
) -> None:
    limit, ready, queue = 1_000, store.layout.partition(0).ready, store.layout.partition(0).queue("default")
    small = redis_store(server.url, store.hub, consumer="w2", max_payload=limit)
    await small.open()
    await start(store, "o-1")
    at_limit, over = f'"{"x" * (limit - 2)}"', f'"{"x" * 50_000}"'
    foreign.xadd(store.layout.hub.intake, {"event": "E", "instance": "o-1", "data": over})
    foreign.xadd(store.layout.hub.intake, {"start": "Order", "instance": "o-2", "input": over})
    foreign.xadd(store.layout.hub.intake, {"event": "E", "instance": "o-1", "data": at_limit, "more": over})
    foreign.xadd(store.layout.hub.intake, {"terminate": "", "instance": "o-3", "more": over})
    assert await small.route(100, 0) == Routed(1, ("malformed", "malformed", "missing"))
    assert [len(message.data) for message in await mails(store, "o-1") if isinstance(message, RaiseEvent)] == [limit]
    assert await store.get("o-2") is None

    foreign.xadd(store.mailbox_key("o-1"), {"event": "E", "data": over})
    foreign.xadd(ready, {"junk": over})
    foreign.xadd(queue, {"t": over})
    foreign.xadd(store.layout.partition(0).outbox, {"junk": over})
    entries = [entry for entry in await small.receive(range(4), 10, 0) if entry.instance == "o-1"]
    [delivery] = await small.checkout(entries, [None])
    _, malformed = [mail.message for mail in delivery.mails]
    assert isinstance(malformed, Malformed)
    assert malformed.reason.startswith("field 'data': 50,002 bytes of payload are more than max_payload_bytes")
    assert await small.receive_tasks(TaskDemand(("default",), 10), 0) == []
    await relay_all(small)

    found = await letters(store)
    assert len(found) == 6
    sizes = [sum(map(len, letter.values())) for letter in found]
    assert max(sizes) < limit + 4_096
    # What is about a message that was read says why it went nowhere; the others, that they are not whole.
    assert sum(b"bytes of its fields are left out here" in letter[b"reason"] for letter in found) == 5
    await small.close()
