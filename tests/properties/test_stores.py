"""Memory and Redis are one state machine: told the same by anybody in any order, they answer the same.

`fire` and `reclaim` take 0 for "at once"; what waits, waits for an hour, which never passes here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from msgspec import Raw
from msgspec.structs import replace

from redurable.core.answers import AnswerKind
from redurable.core.completion import Completion, hold
from redurable.core.delivery import Outgoing, Position, TurnCommit
from redurable.core.tokens import Token
from redurable.core.values import Failure
from redurable.store.membership import Skills
from redurable.store.port import StartRequest, TaskDemand, TaskEnd, TaskLease
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.lane import Lane
from redurable.store.unknown import UnknownInstance
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import EXHAUSTED
from tests.properties.bounds import bounds, seeded
from tests.properties.list_rules import Lists
from tests.properties.pairs import Pair
from tests.properties.store_plans import (
    EVERYTHING,
    HOUR_MS,
    Plan,
    demands,
    details,
    executions,
    instances,
    intake_kinds,
    mail_fields,
    outgoing,
    partitions,
    picks,
    plans,
    positions,
    rules,
    start_message,
    tags,
    turn,
    workers,
)
from tests.properties.twins import NAMES, PARTITIONS, QUEUES, Fields, Twins, stands, told
from tests.support.servers import Server

SAYINGS = ("result", "failure", "details", "nothing")
FORGED: list[dict[str, Any]] = [{}, {}, {}, {"seq": 2}, {"attempt": 2}, {"execution": "x2"}, {"entry": "9-9"}]
"""How a token may differ from a true one."""
SKILLS = Skills(("orchestrations",), ("Demo",))


class Stores(Lists):
    """Anybody does anything at any time, also late, twice, and with what was taken from them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lane: Lane) -> None:
        super().__init__()
        self.twins = Twins(loop, lane)
        self.heads = 0

    # -- clients

    @rule(
        instance=instances, execution=executions, delay_ms=st.sampled_from([0, 0, 0, HOUR_MS]),
        on_conflict=st.sampled_from(["fail", "use-existing", "replace-finished"]), tags=tags,
        name=st.sampled_from(NAMES),
    )  # fmt: skip
    def start(
        self, instance: str, execution: str, on_conflict: Any, delay_ms: int, tags: dict[str, str], name: str
    ) -> None:
        message = start_message(execution, name, tags, None)
        request = StartRequest(instance, message, on_conflict, delay_ms)
        self.twins.same(lambda store: store.start(request))

    @rule(instance=instances)
    def redrive(self, instance: str) -> None:
        self.heads += 1
        head = f"r{self.heads}"
        self.twins.same(lambda store: store.redrive(instance, head))

    @rule(batch=st.lists(outgoing, min_size=1, max_size=3))
    def send(self, batch: list[Outgoing]) -> None:
        self.twins.same(lambda store: store.send(batch))

    @rule(unknown=rules)
    def set_unknown(self, unknown: UnknownInstance) -> None:
        self.twins.same(lambda store: store.set_unknown(unknown))

    @rule(instance=instances)
    def purge(self, instance: str) -> None:
        self.twins.same(lambda store: store.purge(instance))

    @rule(instance=instances, keep=st.integers(0, 2))
    def prune(self, instance: str, keep: int) -> None:
        self.twins.same(lambda store: store.prune(instance, keep))

    # -- turns

    @rule(worker=workers, number=partitions, steal=st.booleans())
    def receive(self, worker: int, number: int, steal: bool) -> None:
        pairs = self.twins.workers[worker]
        if steal:
            one, two = self.twins.run(pairs.ask(lambda store, _: store.steal([number], 100, 0)))
        else:
            one, two = self.twins.run(pairs.ask(lambda store, _: store.receive([number], 100, 0)))
        pairs.add_entries(one, two)

    @rule(worker=workers, chosen=picks, known=st.lists(positions, min_size=3, max_size=3))
    def checkout(self, worker: int, chosen: list[int], known: list[Position | None]) -> None:
        pairs = self.twins.workers[worker]
        picked = _pick(pairs.entries, chosen)
        self.twins.run(pairs.checkout(picked, known[: len(picked)]))

    @rule(worker=workers, chosen=picks, wanted=st.lists(plans, min_size=3, max_size=3), tasks=demands)
    def commit(self, worker: int, chosen: list[int], wanted: list[Plan], tasks: TaskDemand | None) -> None:
        pairs = self.twins.workers[worker]
        turns: list[Pair[TurnCommit]] = []
        for (one, two), plan in zip(_pick(pairs.deliveries, chosen), wanted, strict=False):
            self.heads += 1
            turns.append((turn(plan, one, f"h{self.heads}"), turn(plan, two, f"h{self.heads}")))
        if tasks and len(turns) > 1:
            # Open is which partition's tasks come first, and whether they come between two turns of one instance.
            once = len({one.entry.instance for one, _ in turns}) == len(turns)
            tasks = EVERYTHING if once else None
        self.twins.run(pairs.commit(turns, tasks))

    @rule(worker=workers, wanted=st.lists(plans, min_size=3, max_size=3), tasks=demands)
    def work(self, worker: int, wanted: list[Plan], tasks: TaskDemand | None) -> None:
        """What a worker does all day long."""
        for number in range(PARTITIONS):
            self.receive(worker, number, steal=False)
        self.checkout(worker, [0, 1, 2], [None] * 3)
        self.commit(worker, [0, 1, 2], wanted, tasks)

    @rule(worker=workers, wanted=st.lists(plans, min_size=3, max_size=3))
    def work_on(self, worker: int, wanted: list[Plan]) -> None:
        self.work(worker, wanted, EVERYTHING)

    @rule(worker=workers, chosen=picks)
    def hand_back(self, worker: int, chosen: list[int]) -> None:
        pairs = self.twins.workers[worker]
        entries, leases = _pick(pairs.entries, chosen), _pick(pairs.leases, chosen)
        self.twins.run(pairs.ask(lambda store, at: store.hand_back([p[at] for p in entries], [p[at] for p in leases])))

    # -- tasks

    @rule(worker=workers, queue=st.sampled_from(QUEUES))
    def receive_tasks(self, worker: int, queue: str) -> None:
        pairs = self.twins.workers[worker]
        demand = scenes.demand(100, queue)
        pairs.add_leases(*self.twins.run(pairs.ask(lambda store, _: store.receive_tasks(demand, 0))))

    @rule(
        worker=workers, chosen=picks, retry=st.booleans(), delay_ms=st.sampled_from([0, HOUR_MS]),
        known=positions, count=st.sampled_from([0, 100]),
    )  # fmt: skip
    def complete(
        self, worker: int, chosen: list[int], retry: bool, delay_ms: int, known: Position | None, count: int
    ) -> None:
        pairs = self.twins.workers[worker]
        ends: list[Pair[TaskEnd]] = []
        for one, two in _pick(pairs.leases, chosen):
            if retry:
                # Where the wait in the queue is limited, a retry goes by way of the timers.
                delay = HOUR_MS if one.task.options.timeouts.schedule_to_start else delay_ms
                ends.append((TaskEnd(one, None, one.task, delay), TaskEnd(two, None, two.task, delay)))
            else:
                ends.append((scenes.ended(one), scenes.ended(two)))
        if ends:
            self.twins.run(pairs.complete(ends, [known] * len(ends), count))

    @rule(worker=workers, chosen=picks)
    def leave_open(self, worker: int, chosen: list[int]) -> None:
        """Attempts that somebody else completes."""
        pairs = self.twins.workers[worker]
        ends = [(_left_open(one), _left_open(two)) for one, two in _pick(pairs.leases, chosen)]
        if ends:
            self.twins.run(pairs.complete(ends, [None] * len(ends), 0))

    @rule(
        chosen=picks, said=st.sampled_from(["result", "failure", "details", "nothing"]), forged=st.sampled_from(FORGED)
    )
    def settle(self, chosen: list[int], said: str, forged: dict[str, Any]) -> None:
        pairs = self.twins.workers[0]
        for pair in _pick(pairs.leases, chosen):
            one, two = self.twins.run(
                pairs.ask(lambda store, at, pair=pair: store.settle(_completion(store.hub, pair[at], said, forged)))
            )
            assert one == two

    @rule(instance=instances, execution=executions, queue=st.sampled_from(QUEUES))
    def underway(self, instance: str, execution: str, queue: str) -> None:
        calls = [(seq, queue) for seq in range(3)]
        one, two = self.twins.run(
            self.twins.workers[0].ask(lambda store, _: store.underway(instance, execution, calls))
        )
        assert [stands(call) for call in one] == [stands(call) for call in two]

    # -- leases

    @rule(worker=workers, chosen=picks, heartbeat=details)
    def renew(self, worker: int, chosen: list[int], heartbeat: Raw) -> None:
        pairs = self.twins.workers[worker]
        entries, picked = _pick(pairs.entries, chosen), _pick(pairs.leases, chosen)
        leases = [(replace(one, heartbeat=heartbeat), replace(two, heartbeat=heartbeat)) for one, two in picked]
        one, two = self.twins.run(
            pairs.ask(lambda store, at: store.renew([p[at] for p in entries], [p[at] for p in leases]))
        )
        assert [entry in one.entries for entry, _ in entries] == [entry in two.entries for _, entry in entries]
        assert [lease in one.tasks for lease, _ in leases] == [lease in two.tasks for _, lease in leases]
        assert [lease in one.canceled for lease, _ in leases] == [lease in two.canceled for _, lease in leases]

    @rule(worker=workers)
    def canceled(self, worker: int) -> None:
        everything = dict.fromkeys(range(PARTITIONS), "")
        one, two = self.twins.run(self.twins.workers[worker].ask(lambda store, _: store.canceled(everything, 0)))
        assert [(at, replace(news, id="")) for at, news in one] == [(at, replace(news, id="")) for at, news in two]

    @rule(worker=workers)
    def reclaim(self, worker: int) -> None:
        pairs, demand = self.twins.workers[worker], scenes.demand(1000, *QUEUES)
        everywhere = range(PARTITIONS)
        pairs.add_reclaimed(*self.twins.run(pairs.ask(lambda store, _: store.reclaim(everywhere, 1000, 0, demand, 0))))

    @rule(worker=workers)
    def recover(self, worker: int) -> None:
        pairs = self.twins.workers[worker]
        # What a process may hold of queues that it never read from, it cannot know.
        self.receive_tasks(worker, QUEUES[0])
        self.receive_tasks(worker, QUEUES[1])
        pairs.add_reclaimed(*self.twins.run(pairs.ask(lambda store, _: store.recover())))

    @rule(worker=workers, other=workers, chosen=picks)
    def hand_over(self, worker: int, other: int, chosen: list[int]) -> None:
        pairs, to = self.twins.workers[worker], self.twins.workers[other].stores[0].consumer
        entries = _pick(pairs.entries, chosen)
        self.twins.run(pairs.ask(lambda store, at: store.hand_over([pair[at] for pair in entries], to)))

    @rule(worker=workers)
    def receive_handed(self, worker: int) -> None:
        pairs = self.twins.workers[worker]
        pairs.add_entries(*self.twins.run(pairs.ask(lambda store, _: store.receive_handed(0))))

    @rule(worker=workers, leave=st.booleans())
    def belong(self, worker: int, leave: bool) -> None:
        if leave:
            self.twins.same(lambda store: store.leave(), worker)
        else:
            one, two = self.twins.run(self.twins.workers[worker].ask(lambda store, _: store.heartbeat(HOUR_MS, SKILLS)))
            assert one.workers == two.workers

    # -- what goes on by itself

    @rule()
    def fire(self) -> None:
        self.twins.run(self.twins.workers[0].fire())

    @rule(number=partitions, count=st.sampled_from([1, 2, 100]))
    def relay(self, number: int, count: int) -> None:
        self.twins.same(lambda store: store.relay(number, count))

    @rule(count=st.sampled_from([1, 100]))
    def route(self, count: int) -> None:
        self.twins.same(lambda store: store.route(count, 0))

    @rule(number=partitions, forget=st.booleans())
    def hear(self, number: int, forget: bool) -> None:
        pairs = self.twins.workers[0]
        one, two = self.twins.run(pairs.ask(lambda store, _: store.hear([number], 100, 0)))
        assert (one.heartbeats, one.dead) == (two.heartbeats, two.dead)
        assert [told(item) for item in one.answers] == [told(item) for item in two.answers]
        if forget:
            self.twins.run(pairs.ask(lambda store, at: store.forget((one, two)[at].answers)))

    @rule()
    def sweep(self) -> None:
        self.twins.same(scenes.sweep)

    # -- foreign programs

    @rule(instance=instances, fields=mail_fields, entry_id=st.sampled_from([*["*"] * 8, EXHAUSTED]))
    def foreign_mail(self, instance: str, fields: Fields, entry_id: str) -> None:
        self.twins.xadd_mailbox(instance, fields, entry_id)

    @rule(fields=intake_kinds, instance=st.one_of(instances, instances, st.just("")))
    def foreign_intake(self, fields: Fields, instance: str) -> None:
        self.twins.xadd_intake({**fields, b"instance": instance.encode()})

    @rule(number=partitions, instance=instances, name=st.sampled_from([b"", b"\xff", b"stray"]))
    def foreign_ready(self, number: int, instance: str, name: bytes) -> None:
        """A false alarm, also in the partition of others, or for nobody."""
        self.twins.xadd_ready(number, {b"i": name or instance.encode()})

    @rule(number=partitions, fields=st.sampled_from([{b"x": b"y"}, {b"x": b"y", b"i": b"a"}]))
    def foreign_ready_nonsense(self, number: int, fields: Fields) -> None:
        self.twins.xadd_ready(number, fields)

    @rule(number=partitions, queue=st.sampled_from(QUEUES), fields=st.sampled_from([{b"x": b"y"}, {b"t": b"{}"}]))
    def foreign_task(self, number: int, queue: str, fields: Fields) -> None:
        self.twins.xadd_task(number, queue, fields)

    @rule(worker=workers, chosen=picks, verb=st.sampled_from([*AnswerKind, "nonsense"]))
    def foreign_answer(self, worker: int, chosen: list[int], verb: str) -> None:
        """Of tasks that this worker holds, or held, or that somebody else does."""
        for one, two in _pick(self.twins.workers[worker].leases, chosen):
            self.twins.xadd_answer(worker, verb, one, two)

    @rule(instance=instances, which=st.integers(0, 5))
    def delete_mail(self, instance: str, which: int) -> None:
        self.twins.xdel_mailbox(instance, which)

    @rule(which=st.integers(0, 5), acknowledge=st.booleans())
    def delete_ready(self, which: int, acknowledge: bool) -> None:
        self.twins.xdel_ready(which, acknowledge)

    @rule(number=partitions, queue=st.sampled_from(QUEUES), which=st.integers(0, 5))
    def delete_task(self, number: int, queue: str, which: int) -> None:
        self.twins.xdel_task(number, queue, which)

    # -- comparison

    @rule()
    def look(self) -> None:
        self.twins.look()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # A difference that was found before must not be hidden by its consequences.
                self.end()
        finally:
            self.twins.close()

    def end(self) -> None:
        """All that can be seen is the same, also when everything is delivered, announced and received."""
        self.twins.look()
        self.twins.run(self.twins.workers[0].ask(lambda store, _: scenes.drain(store)))
        self.sweep()
        for number in range(PARTITIONS):
            self.receive(0, number, steal=False)
        self.checkout(0, list(range(3)), [None] * 3)
        self.twins.look()


def _left_open(lease: TaskLease) -> TaskEnd:
    return TaskEnd(lease, retry=hold(lease.task, lease.id, "w1", 5, 10).retry, delay_ms=HOUR_MS)


def _completion(hub: str, lease: TaskLease, said: str, forged: dict[str, Any]) -> Completion:
    """What is said of the attempt by its token, or by one that somebody changed."""
    task = lease.task
    token = Token(hub, task.instance, task.execution, task.seq, task.attempt, lease.queue, lease.id, "w1", 5)
    fields: dict[str, dict[str, Any]] = {
        "result": {"result": scenes.TRUE},
        "failure": {"failure": Failure("Broken", "it broke"), "final": True},
        "details": {"details": Raw(b"[7]")},
    }
    return Completion(replace(token, **forged), **fields.get(said, {}))


def _pick(items: Sequence[Pair[Any]], chosen: Sequence[int]) -> list[Pair[Any]]:
    """Some of these, counted from the newest."""
    return [items[-1 - at] for at in chosen if at < len(items)]


@pytest.fixture
def lane() -> Iterator[tuple[asyncio.AbstractEventLoop, Lane]]:
    """A connection to a server of its own, and the loop that it belongs to."""
    server = Server("valkey9")
    loop = asyncio.new_event_loop()
    lane = Lane(channel_factory(server.url))
    yield loop, lane
    loop.run_until_complete(lane.close())
    loop.close()
    server.stop()


@pytest.mark.timeout(400)  # To make what has failed small takes up to five minutes.
def test_both_stores_answer_the_same(lane: tuple[asyncio.AbstractEventLoop, Lane]) -> None:
    @seeded  # A `reproduce_failure` goes here, too.
    def stores() -> Stores:
        return Stores(*lane)

    run_state_machine_as_test(
        cast("Any", stores), settings=bounds(200, stateful_step_count=40, report_multiple_bugs=False)
    )
