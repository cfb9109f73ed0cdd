"""Tasks against what only Redis can do: deleted streams, foreign entries, partly late batches, unusable mailboxes."""

from __future__ import annotations

from msgspec import Raw

from redurable.core.codec import encode
from redurable.core.delivery import Position
from redurable.core.messages import ActivityResult
from redurable.store.port import TaskEnd, TaskLease
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import fields_of
from redurable.testing.conformance import scenes


async def test_the_budget_holds_over_all_streams(store: RedisStore) -> None:
    for n in range(12):
        await scenes.running(store, f"i-{n}", tasks=(scenes.task(f"i-{n}"),))
    leases = [await store.receive_tasks(scenes.demand(5), 0) for _ in range(3)]
    assert [len(some) for some in leases] == [5, 5, 2]
    assert {lease.task.instance for some in leases for lease in some} == {f"i-{n}" for n in range(12)}


async def test_a_queue_deleted_while_somebody_waits_is_made_again(store: RedisStore, foreign: Lane) -> None:
    await store.receive_tasks(scenes.demand(), 0)

    async def delete_and_fill() -> None:
        await foreign.call("DEL", *[store.layout.partition(number).queue("default") for number in range(4)])
        await scenes.running(store, tasks=(scenes.task(),))

    leases, _ = await scenes.together(lambda: store.receive_tasks(scenes.demand(), 5_000), delete_and_fill)
    assert [lease.task for lease in leases] == [scenes.task()]


async def test_what_is_no_task_goes_to_the_dead_letters(store: RedisStore, foreign: Lane) -> None:
    queue = store.layout.partition(1).queue("default")
    await foreign.call("XADD", queue, "*", "t", b"\xff not json", "b", "c")
    await foreign.call("XADD", queue, "*", "t", encode(scenes.task()).replace(b'"seq":1', b'"seq":1,"v":9'))
    assert await store.receive_tasks(scenes.demand(), 0) == []
    assert (await foreign.call("XLEN", queue), (await foreign.call("XPENDING", queue, "w"))[0]) == (0, 0)
    await scenes.drain(store)
    letters = [fields_of(flat) for _, flat in await foreign.call("XRANGE", store.layout.hub.dead, "-", "+")]
    assert [letter[b"t"][:5] for letter in letters] == [b"\xff not", b'{"typ']
    assert letters[0][b"b"] == b"c"


async def test_in_a_batch_only_the_late_ends_are_refused(store: RedisStore) -> None:
    leases = await scenes.with_tasks(store, *(scenes.task(seq=seq) for seq in range(1, 5)))
    assert (await store.complete([scenes.ended(lease) for lease in leases[1:3]], [None, None])).accepted == (True, True)
    done = await store.complete([scenes.ended(lease) for lease in leases], [None] * 4)
    assert done.accepted == (True, False, False, True)
    said = scenes.said(await scenes.take(store))
    assert said == [scenes.result(leases[at]) for at in (1, 2, 0, 3)]


async def test_a_task_deleted_by_hand_is_completed_all_the_same(store: RedisStore, foreign: Lane) -> None:
    (lease,) = await scenes.with_tasks(store, scenes.task())
    await foreign.call("XDEL", store.layout.partition(lease.partition).queue("default"), lease.id)
    assert (await store.complete([scenes.ended(lease)], [None])).accepted == (True,)
    assert scenes.said(await scenes.take(store)) == [scenes.result(lease)]


async def test_the_fused_step_hands_out_its_own_instances_checked_out(store: RedisStore) -> None:
    leases: list[TaskLease] = []
    for name in ("a", "b", "c"):
        leases += await scenes.with_tasks(store, scenes.task(name), instance=name)
    await scenes.running(store, "other")
    await scenes.send(store, "other", scenes.event())
    known = [Position("x1", 1, "h1"), None, Position("x1", 9, "wrong")]
    done = await store.complete([scenes.ended(lease) for lease in leases], known, 10, scenes.everywhere(store))
    assert [entry.instance for entry in done.entries] == ["other"]
    found = {delivery.entry.instance: delivery for delivery in done.deliveries}
    assert {name: (item.base, len(item.events), len(item.mails)) for name, item in found.items()} == {
        "a": (1, 0, 1),
        "b": (0, 1, 1),
        "c": (0, 1, 1),
    }
    assert {item.head for item in found.values()} == {"h1"}


async def test_the_fused_step_keeps_to_its_count(store: RedisStore) -> None:
    leases = [(await scenes.with_tasks(store, scenes.task(f"i-{n}"), instance=f"i-{n}"))[0] for n in range(8)]
    done = await store.complete([scenes.ended(lease) for lease in leases], [None] * 8, 3, scenes.everywhere(store))
    assert len(done.deliveries) + len(done.entries) == 3
    assert len(await scenes.receive(store)) == 5


async def test_large_outcomes_go_in_several_calls(store: RedisStore) -> None:
    leases = await scenes.with_tasks(store, *(scenes.task(seq=seq) for seq in range(1, 7)))
    ends = [_ended_with(lease, b'"%s"' % (b"x" * 400_000)) for lease in leases]
    done = await store.complete(ends, [], 5, scenes.everywhere(store))
    assert done.accepted == (True,) * 6
    assert len(done.deliveries) == 1
    late = await store.complete(ends, [], 0)
    assert late.accepted == (False,) * 6


def _ended_with(lease: TaskLease, data: bytes) -> TaskEnd:
    return TaskEnd(lease, ActivityResult(execution=lease.task.execution, seq=lease.task.seq, result=Raw(data)))
