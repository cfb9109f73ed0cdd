"""Workers on real servers: whole orchestrations, lost connections, a restarted server, dead workers, foreign mail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Raw

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import Outgoing
from redurable.core.events import ActivityCompleted, Event, EventRaised, ExecutionCompleted, ExecutionStarted
from redurable.core.messages import RaiseEvent, StartExecution
from redurable.core.values import Arguments
from redurable.errors import StoreUnavailable
from redurable.facts import Fact, LeasesReclaimed, StoreFaulted, TimersFired, TurnsTaken
from redurable.settings import WorkerSettings
from redurable.store.port import StartRequest, TaskDemand, TaskLease
from redurable.store.redis.lane import Lane
from redurable.store.redis.store import RedisStore, redis_store
from redurable.worker import Worker
from tests.support.servers import Server
from tests.support.working import working

app = App("stage")


@app.activity
async def greet(name: str) -> str:
    return f"Hello {name}!"


@app.activity
def double(number: int) -> int:
    return 2 * number


@app.orchestrator
async def sequence(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    return [await ctx.call_activity(greet, name) for name in names]


@app.orchestrator
async def everything(ctx: OrchestrationContext, width: int) -> dict[str, Any]:
    await asyncio.sleep(0.05)
    children = [ctx.call_sub_orchestrator(sequence, [str(number)]) for number in range(width)]
    numbers = [ctx.call_activity(double, number) for number in range(width)]
    told = await ctx.wait_for_external_event("Go", str)
    return {"children": await asyncio.gather(*children), "numbers": await asyncio.gather(*numbers), "told": told}


@app.orchestrator
async def collect(ctx: OrchestrationContext, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("Go", int) for _ in range(count)]


QUICK = WorkerSettings(
    instance_lease_ms=400,
    task_lease_ms=600,
    renew_every_ms=100,
    reclaim_every_ms=100,
    heartbeat_every_ms=100,
    retry_min_ms=5,
    retry_max_ms=50,
)


class Crew:
    """Workers of one hub, each with a connection of its own, and what they told."""

    def __init__(self, server: Server, hub: str) -> None:
        self.facts: list[Fact] = []
        self._told = asyncio.Event()
        self._server = server
        self._hub = hub
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Crew:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.__aexit__(*error)

    async def add(self, **options: Any) -> Worker:
        """A worker that runs until the crew ends, and then drains."""
        worker = Worker(app, self._server.url, hub=self._hub, settings=QUICK, **options)
        worker.facts.subscribe(self._hear)
        return await self._stack.enter_async_context(working(worker))

    def told(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def heard(self, kind: type[Fact]) -> None:
        """Wait for a fact of this kind."""
        with anyio.fail_after(10):
            while not self.told(kind):
                self._told.clear()
                await self._told.wait()

    def _hear(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._told.set()


@pytest.fixture
async def crew(server: Server, hub: str, store: RedisStore) -> AsyncIterator[Crew]:
    async with Crew(server, hub) as together:
        yield together
    assert await held(store) == 0


async def held(store: RedisStore) -> int:
    """How many ready entries and tasks are held by anybody."""
    await store.lane.call("PING")
    total = 0
    for number in range(store.partitions):
        keys = store.layout.partition(number)
        for stream in (keys.ready, keys.queue("default")):
            if await store.lane.call("EXISTS", stream):
                groups = await store.lane.call("XINFO", "GROUPS", stream)
                total += sum(group[group.index(b"pending") + 1] for group in groups)
    return total


async def start(store: RedisStore, name: str, given: object, instance: str) -> None:
    call = Arguments(input=Raw(msgspec.json.encode(given)))
    message = StartExecution(name=name, execution=f"x-{instance}", call=call)
    await store.start(StartRequest(instance, message))


async def result(store: RedisStore, instance: str) -> Any:
    """Wait for the instance's result, whatever happens to the connection meanwhile."""
    with anyio.fail_after(20):
        while True:
            try:
                snapshot = await store.get(instance)
            except StoreUnavailable:
                snapshot = None
            if snapshot is not None and snapshot.status.finished:
                assert isinstance(snapshot.last, ExecutionCompleted), snapshot.last
                return msgspec.json.decode(snapshot.last.result)
            await anyio.sleep(0.01)


async def count(store: RedisStore, instance: str, kind: type[Event]) -> int:
    return len([event for event in await store.history(instance) if isinstance(event, kind)])


async def test_timers_children_activities_and_a_foreign_event(crew: Crew, store: RedisStore, foreign: Lane) -> None:
    await crew.add()
    await start(store, "everything", 4, "one")
    intake = store.layout.hub.intake
    await foreign.call("XADD", intake, "*", "instance", "one", "event", "Go", "data", '"gone"', "id", "e-1")
    await foreign.call("XADD", intake, "*", "instance", "one", "event", "Go", "data", '"again"', "id", "e-1")
    assert await result(store, "one") == {
        "children": [[f"Hello {number}!"] for number in range(4)],
        "numbers": [0, 2, 4, 6],
        "told": "gone",
    }
    lateness = [late for fact in crew.told(TimersFired) for late in fact.lateness]
    assert len(lateness) == 1
    assert 0 <= lateness[0] < 20  # Seconds.


async def test_workers_of_one_role_each_and_a_late_comer(crew: Crew, store: RedisStore) -> None:
    await crew.add(roles={"orchestrations"})
    await crew.add(roles={"activities"})
    for number in range(30):
        await start(store, "sequence", ["a", "b"], f"i{number}")
    await crew.add()
    for number in range(30):
        assert await result(store, f"i{number}") == ["Hello a!", "Hello b!"]


async def test_mail_put_straight_into_a_mailbox_is_heard(crew: Crew, store: RedisStore, foreign: Lane) -> None:
    await crew.add()
    await start(store, "collect", 2, "one")
    for number in range(2):
        await foreign.call("XADD", store.mailbox_key("one"), "*", "event", "Go", "data", str(number))
    assert await result(store, "one") == [0, 1]


async def test_killed_connections_and_flushed_scripts_lose_and_repeat_nothing(
    crew: Crew, store: RedisStore, foreign: Lane
) -> None:
    await crew.add()
    await crew.add()
    for number in range(40):
        await start(store, "sequence", ["a", "b", "c"], f"s{number}")
        await start(store, "collect", 2, f"c{number}")
    for turn in range(10):
        await foreign.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await foreign.call("SCRIPT", "FLUSH")
        await send(store, [Outgoing(f"c{number}", _go(turn)) for number in range(4 * turn, 4 * turn + 4)])
    await send(store, [Outgoing(f"c{number}", _go(99)) for number in range(40)])
    for number in range(40):
        assert await result(store, f"s{number}") == ["Hello a!", "Hello b!", "Hello c!"]
        assert await result(store, f"c{number}") == [number // 4, 99]
        assert await count(store, f"s{number}", ActivityCompleted) == 3
        assert await count(store, f"c{number}", EventRaised) == 2
        assert await count(store, f"s{number}", ExecutionStarted) == 1
    assert crew.told(StoreFaulted)
    assert {turn.result for fact in crew.told(TurnsTaken) for turn in fact.turns} <= {"ok", "fenced"}


def _go(number: int) -> RaiseEvent:
    return RaiseEvent(name="Go", data=Raw(str(number).encode()), id=f"go-{number}")


async def send(store: RedisStore, messages: list[Outgoing]) -> None:
    """Repeat it until it is answered: the ids of the events make that harmless."""
    while True:
        try:
            await store.send(messages)
        except StoreUnavailable:
            continue
        return


async def test_what_dead_workers_held_is_taken_over(crew: Crew, server: Server, hub: str, store: RedisStore) -> None:
    for number in range(10):
        await start(store, "sequence", ["a", "b"], f"i{number}")
    dead = redis_store(server.url, hub, consumer="dead")
    await dead.open()
    assert len(await dead.receive(range(4), 5, 0)) == 5
    worker = await crew.add(roles={"orchestrations"})
    tasks: list[TaskLease] = []
    with anyio.fail_after(10):
        while len(tasks) < 3:
            tasks += await dead.receive_tasks(TaskDemand(("default",), 3), 500)
    await dead.close()
    assert worker.roles == {"orchestrations"}
    await crew.add(roles={"activities"})
    for number in range(10):
        assert await result(store, f"i{number}") == ["Hello a!", "Hello b!"]
    taken_over = [(fact.kind, fact.count) for fact in crew.told(LeasesReclaimed)]
    # More, where a busy machine lets leases of the living run out: they take those over themselves.
    assert sum(number for kind, number in taken_over if kind == "instance") >= 5
    assert sum(number for kind, number in taken_over if kind == "task") >= 3


@pytest.fixture(params=["valkey9", "redis70"])
def durable(request: pytest.FixtureRequest, requires_tool: Any) -> Iterator[Server]:
    """A server of one test that keeps every write."""
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    server = Server(request.param, "--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()


async def test_a_server_that_is_killed_and_comes_back(durable: Server, hub: str) -> None:
    store = redis_store(durable.url, hub, partitions=4)
    await store.open()
    async with Crew(durable, hub) as crew:
        await crew.add()
        for number in range(10):
            await start(store, "sequence", ["a", "b", "c"], f"i{number}")
            await start(store, "collect", 1, f"c{number}")
        durable.kill()
        await crew.heard(StoreFaulted)
        durable.run()
        await send(store, [Outgoing(f"c{number}", _go(number)) for number in range(10)])
        for number in range(10):
            assert await result(store, f"i{number}") == ["Hello a!", "Hello b!", "Hello c!"]
            assert await result(store, f"c{number}") == [number]
    await store.close()
