"""Random sequences of verbs, told to the memory store and to the Redis store: both must answer the same, whatever the
order, also to callers that come late, come twice, or hold what was taken from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from random import Random
from typing import TypeVar
from uuid import uuid4

import anyio
import pytest
from msgspec import Raw
from msgspec.structs import replace

from redurable.core.delivery import DeadLetter, Delivery, Outgoing, Park, Position, Timer, TurnCommit
from redurable.core.events import ExecutionCompleted, ExecutionContinuedAsNew
from redurable.core.messages import ActivityResult, Message, Resume, StartExecution, Suspend, Terminate, TimerDue
from redurable.core.values import ABSENT, RuntimeStatus, Task, Timeouts
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.port import StartRequest, TaskEnd, TaskLease
from redurable.store.redis.store import redis_store
from redurable.testing.conformance import scenes
from tests.conformance.pairs import FAR_MS, Pair, Pairs
from tests.support.servers import Server

T = TypeVar("T")

INSTANCES = ("a", "b", "c", "d", "e", "f")
EXECUTIONS = ("x1", "x2", "x3")
PARTITIONS = 2
STEPS = 250


class Actor:
    """Clients and workers who do anything at any time. Each step tells both stores the same."""

    def __init__(self, pairs: Pairs, rng: Random) -> None:
        self.pairs = pairs
        self.rng = rng
        self.heads = 0

    def steps(self) -> list[Callable[[], Awaitable[object]]]:
        often = [self.send, self.receive, self.checkout, self.commit, self.commit, self.complete]
        return [*often, *often, self.start, self.start, self.tasks, self.relay, self.route, self.sweep, self.fire,
                self.reclaim, self.recover, self.hand_back, self.renew, self.purge, self.prune]  # fmt: skip

    def instance(self) -> str:
        return self.rng.choice(INSTANCES)

    def message(self) -> Message:
        execution, seq = self.rng.choice(EXECUTIONS), self.rng.randrange(4)
        return self.rng.choice(
            [
                scenes.event(f"E{seq}"),
                Terminate(),
                Suspend(),
                Resume(),
                ActivityResult(execution=execution, seq=seq),
                TimerDue(execution=execution, seq=seq, due=1),
            ]
        )

    def outgoing(self) -> Outgoing:
        if self.rng.random() < 0.3:
            refusal = (self.instance(), scenes.refusal("x1")) if self.rng.random() < 0.5 else None
            return Outgoing(self.instance(), scenes.message(self.rng.choice(EXECUTIONS)), refusal)
        return Outgoing(self.instance(), self.message())

    def known(self, execution: str = "") -> Position | None:
        head, execution = f"h{self.rng.randrange(self.heads + 1)}", execution or self.rng.choice(EXECUTIONS)
        return self.rng.choice([None, Position(execution, self.rng.randrange(6), head)])

    async def start(self) -> None:
        conflict = self.rng.choice(("fail", "use-existing", "replace-finished"))
        delay = self.rng.choice((0, 0, 0, 1, 3_600_000))
        request = StartRequest(self.instance(), scenes.message(self.rng.choice(EXECUTIONS)), conflict, delay)
        await self.pairs.same(lambda store: store.start(request))

    async def send(self) -> None:
        batch = [self.outgoing() for _ in range(self.rng.randrange(1, 4))]
        await self.pairs.same(lambda store: store.send(batch))

    async def receive(self) -> None:
        number = self.rng.randrange(PARTITIONS)  # all of it, because a sweep announces in any order
        self.pairs.add_entries(*await self.pairs.ask(lambda store, _: store.receive([number], 100, 0)))

    async def checkout(self) -> None:
        picked = self.pick(self.pairs.entries)
        await self.pairs.checkout(picked, [self.known() for _ in picked])

    async def commit(self) -> None:
        turns = [self.turn(pair) for pair in self.pick(self.pairs.deliveries)]
        touched = {pair[0].entry.partition for pair in turns}
        demand = scenes.demand(self.rng.choice((1, 100))) if len(touched) == 1 else None
        await self.pairs.commit(turns, demand)

    def turn(self, pair: Pair[Delivery]) -> Pair[TurnCommit]:
        """The same turn for both: it only differs in what the stores call entries and messages."""
        self.heads += 1
        head, kind, state = f"h{self.heads}", self.rng.random(), self.rng.getstate()
        turns: list[TurnCommit] = []
        for delivery in pair:
            self.rng.setstate(state)
            if kind < 0.15 or delivery.status is None:
                turns.append(scenes.release(delivery, head))
            elif kind < 0.3:
                park = Park("unknown orchestrator", "start a worker", self.rng.choice((1, 3_600_000)))
                turns.append(TurnCommit(entry=delivery.entry, expected=delivery.head, head=head, park=park))
            else:
                turns.append(self.full_turn(delivery, head))
        return turns[0], turns[1]

    def full_turn(self, delivery: Delivery, head: str) -> TurnCommit:
        rng, instance = self.rng, delivery.entry.instance
        mails = delivery.mails[: rng.randrange(len(delivery.mails) + 1)]
        queue = rng.choice(("default", "vip"))
        fields = {
            "consumed": mails[-1].id if mails else "",
            "tasks": tuple(
                self.limited(scenes.task(instance, n, queue, execution=delivery.execution))
                for n in range(rng.randrange(3))
            ),
            "timers": tuple(Timer(n, rng.choice((1, FAR_MS - 1))) for n in range(rng.randrange(3))),
            "canceled_timers": tuple(range(rng.randrange(3))),
            "closed_calls": tuple(range(rng.randrange(3))),
            "outbox": tuple(self.outgoing() for _ in range(rng.randrange(3))),
            "dead": (DeadLetter("bad", instance, ((b"a", b"b"),)),) if rng.random() < 0.1 else (),
            "custom_status": scenes.TRUE if rng.random() < 0.2 else None,
        }
        if delivery.status is not None and delivery.status.finished:
            return scenes.turn(delivery, head, status=None, consumed=fields["consumed"])
        end = rng.random()
        if end < 0.15:
            return scenes.turn(delivery, head, ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED, **fields)
        if end < 0.3:
            following = StartExecution(name="Demo", execution=rng.choice(EXECUTIONS) + "'", number=2)
            return scenes.turn(delivery, head, ExecutionContinuedAsNew(at=2, next="n"), next=following, **fields)
        return scenes.turn(delivery, head, scenes.raised(head), **fields)

    def limited(self, task: Task) -> Task:
        """The task with timeouts, or without, that have run out long ago, or never will."""
        starts, closes = self.rng.choice((0, 0, 1, FAR_MS)), self.rng.choice((0, 0, 1, FAR_MS))
        options = replace(task.options, timeouts=Timeouts(schedule_to_start=starts, schedule_to_close=closes))
        return replace(task, options=options, waiting_since=1 if starts == 1 else 0)

    async def tasks(self) -> None:
        demand = scenes.demand(100, "default", "vip")
        self.pairs.add_leases(*await self.pairs.ask(lambda store, _: store.receive_tasks(demand, 0)))

    async def complete(self) -> None:
        ends: list[Pair[TaskEnd]] = []
        for one, two in self.distinct(self.pick(self.pairs.leases)):
            # Where the wait in the queue is limited, a retry goes by way of the timers.
            least = 1 if one.task.options.timeouts.schedule_to_start else 0
            delay = max(least, self.rng.choice((0, 1, 3_600_000)))
            if self.rng.random() < 0.3:
                ends.append(
                    (TaskEnd(one, retry=one.task, delay_ms=delay), TaskEnd(two, retry=two.task, delay_ms=delay))
                )
            else:
                ends.append((scenes.ended(one), scenes.ended(two)))
        known = [self.known(end.lease.task.execution) for end, _ in ends]
        if ends:
            await self.pairs.complete(ends, known, self.rng.choice((0, 100)))

    def distinct(self, leases: list[Pair[TaskLease]]) -> list[Pair[TaskLease]]:
        return list({(pair[0].partition, pair[0].queue, pair[0].id): pair for pair in leases}.values())

    async def relay(self) -> None:
        number, count = self.rng.randrange(PARTITIONS), self.rng.choice((1, 100))
        await self.pairs.same(lambda store: store.relay(number, count))

    async def route(self) -> None:
        await self.pairs.same(lambda store: store.route(10, 0))

    async def sweep(self) -> None:
        await self.pairs.same(scenes.sweep)

    async def fire(self) -> None:
        await anyio.sleep(0.003)  # until what is due in a millisecond is due for both clocks
        await self.pairs.fire()

    async def reclaim(self) -> None:
        self.pairs.add_reclaimed(*await self.pairs.ask(lambda store, _: scenes.reclaim(store, 0, 1000, 1000)))

    async def recover(self) -> None:
        self.pairs.add_reclaimed(*await self.pairs.ask(lambda store, _: store.recover()))

    async def hand_back(self) -> None:
        entries, leases = self.pick(self.pairs.entries), self.pick(self.pairs.leases)
        await self.pairs.ask(
            lambda store, side: store.hand_back([pair[side] for pair in entries], [pair[side] for pair in leases])
        )

    async def renew(self) -> None:
        entries, picked = self.pick(self.pairs.entries), self.pick(self.pairs.leases)
        details = self.rng.choice((ABSENT, scenes.TRUE, Raw(b"[7]")))
        leases = [(replace(one, heartbeat=details), replace(two, heartbeat=details)) for one, two in picked]
        one, two = await self.pairs.ask(
            lambda store, side: store.renew([pair[side] for pair in entries], [pair[side] for pair in leases])
        )
        assert [entry in one.entries for entry, _ in entries] == [entry in two.entries for _, entry in entries]
        assert [lease in one.tasks for lease, _ in leases] == [lease in two.tasks for _, lease in leases]

    async def purge(self) -> None:
        instance = self.instance()
        await self.pairs.same(lambda store: store.purge(instance))

    async def prune(self) -> None:
        instance, keep = self.instance(), self.rng.randrange(3)
        await self.pairs.same(lambda store: store.prune(instance, keep))
        await self.pairs.same(lambda store: store.executions(instance))

    def pick(self, items: list[Pair[T]]) -> list[Pair[T]]:
        """Some of these, the newest most likely, none twice."""
        recent = items[-6:]
        return self.rng.sample(recent, min(len(recent), self.rng.randrange(1, 4)))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server("valkey9")
    yield running
    running.stop()


@pytest.fixture
async def pairs(server: Server) -> AsyncIterator[Pairs]:
    hub = f"t-{uuid4().hex[:12]}"
    redis = redis_store(server.url, hub, consumer="w1", partitions=PARTITIONS)
    await redis.open()
    yield Pairs(MemoryStore(MemoryHub(hub, PARTITIONS), "w1"), redis)
    await redis.close()


@pytest.mark.parametrize("number", range(12))
async def test_both_answer_the_same(pairs: Pairs, rng: Random, number: int) -> None:
    actor = Actor(pairs, rng)
    steps = actor.steps()
    for _ in range(STEPS):
        await rng.choice(steps)()
    await pairs.look(INSTANCES)
    await pairs.ask(lambda store, _: scenes.drain(store))
    await pairs.look(INSTANCES)
