"""Checkout and commit against what only Redis can do: foreign writes, wrong types, exhausted ids, purged keys."""

from __future__ import annotations

import pytest

from redurable.core.delivery import Outcome, Outgoing, Park, Position, TurnCommit
from redurable.core.events import ExecutionContinuedAsNew
from redurable.core.messages import Malformed, RaiseEvent
from redurable.core.values import RuntimeStatus
from redurable.errors import StoreDamaged, StoreRefused
from redurable.store.redis import deliveries
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EXHAUSTED


async def test_a_lost_reply_is_repeated_without_harm(store: RedisStore, foreign: Lane) -> None:
    delivery = await scenes.begin(store)
    turn = scenes.turn(delivery, "h1", tasks=(scenes.task(),), outbox=(Outgoing("two", scenes.event()),))
    await scenes.accept(store, turn)
    assert await scenes.outcome(store, turn) is Outcome.ALREADY_APPLIED
    keys = store.layout.of("one")
    assert await foreign.call("LLEN", keys.history("one")) == 1
    assert [await foreign.call("XLEN", key) for key in (keys.outbox, keys.queue("default"))] == [1, 1]


async def test_two_commits_of_one_instance_in_one_call_are_judged_one_after_the_other(store: RedisStore) -> None:
    delivery = await scenes.begin(store)
    turns = [scenes.turn(delivery, head, scenes.raised()) for head in ("a", "b")]
    outcomes = [receipt.outcome for receipt in (await store.commit(turns)).receipts]
    assert outcomes == [Outcome.ACCEPTED, Outcome.FENCED]
    assert len(await store.history("one")) == 2


async def test_a_purged_instance_is_not_brought_back(store: RedisStore, foreign: Lane) -> None:
    delivery = await scenes.begin(store)
    keys = store.layout.of("one")
    await foreign.call("DEL", keys.instance("one"), keys.start("one"))
    await scenes.accept(store, scenes.turn(delivery, "h1", scenes.raised(), tasks=(scenes.task(),)))
    assert await foreign.call("EXISTS", keys.instance("one"), keys.history("one"), keys.queue("default")) == 0
    assert (await foreign.call("XPENDING", keys.ready, "w"))[0] == 0


async def test_mail_that_came_during_the_turn_announces_again(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store)
    await scenes.send(store, "one", scenes.event("A"))
    delivery = await scenes.take(store)
    await scenes.send(store, "one", scenes.event("B"))
    await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised()))
    following = await scenes.take(store)
    assert scenes.said(following) == [scenes.event("B")]
    await scenes.accept(store, scenes.turn(following, "h3", scenes.raised()))
    assert await foreign.call("EXISTS", store.mailbox_key("one")) == 0
    assert await scenes.receive(store) == []


async def test_a_foreign_entry_deleted_during_the_turn_takes_nothing_else_along(
    store: RedisStore, foreign: Lane
) -> None:
    await scenes.running(store)
    await scenes.send(store, "one", scenes.event("A"), scenes.event("B"))
    delivery = await scenes.take(store)
    await foreign.call("XDEL", store.mailbox_key("one"), delivery.mails[1].id)
    await scenes.send(store, "one", scenes.event("C"))
    await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised()))
    assert scenes.said(await scenes.take(store)) == [scenes.event("C")]


async def test_a_foreign_xadd_into_the_mailbox_is_read(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store)
    await foreign.call("XADD", store.mailbox_key("one"), "*", "event", "Approval", "data", "true")
    await foreign.call("XADD", store.mailbox_key("one"), "*", "event", "Deep", "data", "[" * 201 + "]" * 201)
    await scenes.send(store, "one", scenes.event("last"))
    approval, deep, last = scenes.said(await scenes.take(store))
    assert isinstance(approval, RaiseEvent)
    assert (approval.name, bytes(approval.data)) == ("Approval", b"true")
    assert isinstance(deep, Malformed)
    assert last == scenes.event("last")


async def test_an_exhausted_mailbox_takes_nothing_until_it_is_read(store: RedisStore, foreign: Lane) -> None:
    await scenes.running(store)
    await scenes.send(store, "one", scenes.event("A"))
    await foreign.call("XADD", store.mailbox_key("one"), EXHAUSTED, "event", "Foreign")
    with pytest.raises(StoreRefused, match=r"'one'.*(exhausted|equal or smaller)"):
        await store.send([Outgoing("one", scenes.event("lost")), Outgoing("new", scenes.event("kept"))])
    assert await foreign.call("XLEN", store.mailbox_key("new")) == 1
    delivery = await scenes.take(store)
    assert delivery.mails[-1].id == EXHAUSTED
    await scenes.accept(store, scenes.turn(delivery, "h2", scenes.raised()))
    assert await foreign.call("EXISTS", store.mailbox_key("one")) == 0
    await scenes.send(store, "one", scenes.event("B"))
    assert scenes.said(await scenes.take(store)) == [scenes.event("B")]


async def test_damage_of_one_instance_fails_alone(store: RedisStore, foreign: Lane) -> None:
    found = {name: await scenes.begin(store, name) for name in ("hash", "mailbox", "history", "sound")}
    await foreign.call("DEL", store.layout.of("hash").instance("hash"))
    await foreign.call("SET", store.layout.of("hash").instance("hash"), "not a hash")
    await foreign.call("SET", store.mailbox_key("mailbox"), "not a stream")
    await foreign.call("SET", store.layout.of("history").history("history"), "not a list")
    entries = [delivery.entry for delivery in found.values()]
    seen = await store.checkout(entries, [None] * 4)
    assert ["WRONGTYPE" in delivery.unreadable for delivery in seen] == [True, True, True, False]
    turns = [scenes.turn(delivery, f"h-{name}", scenes.raised()) for name, delivery in found.items()]
    receipts = (await store.commit(turns)).receipts
    assert [receipt.outcome for receipt in receipts] == [Outcome.FAILED] * 3 + [Outcome.ACCEPTED]
    assert all("WRONGTYPE" in receipt.detail for receipt in receipts[:3])
    with pytest.raises(StoreRefused, match=r"'mailbox'.*WRONGTYPE"):
        await scenes.send(store, "mailbox", scenes.event())
    with pytest.raises(StoreDamaged, match=r"'hash' cannot be started: 'rd:\S+:i:hash' is a string where .* a hash"):
        await store.start(scenes.request("hash"))


async def test_damage_can_be_parked(store: RedisStore, foreign: Lane) -> None:
    await scenes.begin(store)
    await foreign.call("SET", store.mailbox_key("one"), "not a stream")
    (entry,) = (await store.recover()).entries
    delivery = await scenes.checkout(store, entry)
    assert (delivery.head, delivery.status, delivery.mails) == ("x1", RuntimeStatus.PENDING, ())
    park = TurnCommit(
        entry=delivery.entry, expected=delivery.head, head="p1", park=Park("unreadable", delivery.unreadable, 60_000)
    )
    committed = await scenes.accept(store, park)
    snapshot = await store.get("one")
    assert snapshot is not None
    assert snapshot.quarantined is not None
    assert snapshot.quarantined.reason == "unreadable"
    assert [timer.partition for timer in committed.timers] == [scenes.partition(store, "one")]


async def test_a_cut_history_is_paged(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "PAGE", 7)
    events = [scenes.raised("x" * 30_000) for _ in range(100)]
    await scenes.accept(store, scenes.turn(await scenes.begin(store), "h1", *events))
    await scenes.send(store, "one", scenes.event())
    cold = await scenes.take(store)
    assert (cold.base, len(cold.events), cold.events[-1].commit, len(cold.mails)) == (0, 101, "h1", 1)
    (warm,) = await store.checkout([cold.entry], [Position("x1", 101, "h1")])
    assert (warm.base, warm.events, warm.mails) == (101, (), cold.mails)


async def test_many_events_and_tasks_fit_into_one_turn(store: RedisStore, foreign: Lane) -> None:
    delivery = await scenes.begin(store)
    tasks = tuple(scenes.task(seq=seq) for seq in range(1, 3_001))
    events = [scenes.raised(str(n)) for n in range(9_000)]
    committed = await scenes.accept(store, scenes.turn(delivery, "h1", *events, tasks=tasks), scenes.demand(50))
    assert [lease.task.seq for lease in committed.tasks] == list(range(1, 51))
    keys = store.layout.of("one")
    assert await foreign.call("LLEN", keys.history("one")) == 9_001
    assert await foreign.call("XLEN", keys.queue("default")) == 3_000


async def test_a_turn_that_continues_as_new_moves_its_history_away(store: RedisStore, foreign: Lane) -> None:
    delivery = await scenes.begin(store)
    await scenes.send(store, "one", scenes.event("early"))
    ended = ExecutionContinuedAsNew(at=1, next="x2")
    await scenes.accept(store, scenes.turn(delivery, "h1", ended, next=scenes.message("x2")))
    following = await scenes.take(store)
    assert (following.execution, following.events, following.start) == ("x2", (), scenes.message("x2"))
    assert scenes.said(following) == [scenes.event("early")]
    assert await store.executions("one") == ["x1", "x2"]
    assert [type(event) for event in await store.history("one", "x1")][-1] is ExecutionContinuedAsNew
    repeated = await store.start(scenes.request("one", "x1"))
    assert repeated == "started"
    assert await foreign.call("LLEN", store.layout.of("one").executions("one")) == 1


async def test_an_entry_that_names_no_instance_is_dropped(store: RedisStore, foreign: Lane) -> None:
    ready = store.layout.partition(0).ready
    await foreign.call("XADD", ready, "*", "what", "ever")
    await foreign.call("XADD", ready, "*", "i", b"\xff\xfe")
    assert await scenes.receive(store) == []
    assert (await foreign.call("XLEN", ready), (await foreign.call("XPENDING", ready, "w"))[0]) == (0, 0)


async def test_a_deleted_ready_stream_is_made_again(store: RedisStore, foreign: Lane) -> None:
    await foreign.call("DEL", *[store.layout.partition(number).ready for number in range(4)])
    received, _ = await scenes.together(
        lambda: store.receive(scenes.everywhere(store), 10, 5_000), lambda: store.start(scenes.request())
    )
    assert [entry.instance for entry in received] == ["one"]
