"""A hub in memory with workers on it, and a store that can be told to fail: what the tests of the worker stand on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import msgspec
from msgspec import Raw

from redurable.authoring.app import App
from redurable.core.delivery import Entry, Outgoing, Position, TurnCommit
from redurable.core.events import Event, ExecutionCompleted
from redurable.core.messages import Message, RaiseEvent, StartExecution
from redurable.core.values import Arguments
from redurable.errors import StoreUnavailable
from redurable.facts import Fact
from redurable.settings import WorkerSettings
from redurable.store.inspect import Snapshot
from redurable.store.membership import Membership, Skills
from redurable.store.memory import MemoryStore
from redurable.store.memory.state import MemoryHub
from redurable.store.port import Committed, Completed, Lost, StartRequest, TaskDemand, TaskEnd, TaskLease
from redurable.worker import Worker

T = TypeVar("T")
F = TypeVar("F", bound=Fact)

LONGEST = 15
"""Seconds that a test waits for what must happen."""

QUICK: dict[str, Any] = {"reclaim_every_ms": 50, "heartbeat_every_ms": 50, "retry_min_ms": 1, "retry_max_ms": 5}
"""Short rests, so that what must happen by itself happens soon."""


def settings(**changes: Any) -> WorkerSettings:
    """The defaults with short rests and these changes."""
    return WorkerSettings(**{**QUICK, **changes})


def raw(value: object) -> Raw:
    """A payload."""
    return Raw(msgspec.json.encode(value))


class FaultyStore(MemoryStore):
    """Counts its calls. `refuse_next` and `lose_next` name a verb that fails once: before it does anything, or after,
    when it has something to answer. `errors` fail always, and while it is `down` what it counts does."""

    def __init__(self, hub: MemoryHub, consumer: str) -> None:
        super().__init__(hub, consumer)
        self.refuse_next = ""
        self.lose_next = ""
        self.calls: Counter[str] = Counter()
        self.errors: dict[str, Exception] = {}
        self.down = False

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        return await self._maybe("receive", lambda: super(FaultyStore, self).receive(partitions, count, block_ms))

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        return await self._maybe("commit", lambda: super(FaultyStore, self).commit(commits, demand))

    async def receive_tasks(self, demand: TaskDemand, block_ms: int) -> list[TaskLease]:
        return await self._maybe("receive_tasks", lambda: super(FaultyStore, self).receive_tasks(demand, block_ms))

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        return await self._maybe(
            "complete", lambda: super(FaultyStore, self).complete(ends, known, count, partitions, demand)
        )

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        return await self._maybe("renew", lambda: super(FaultyStore, self).renew(entries, tasks))

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        return await self._maybe("heartbeat", lambda: super(FaultyStore, self).heartbeat(ttl_ms, skills))

    async def sweep(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        return await self._maybe("sweep", lambda: super(FaultyStore, self).sweep(partition, cursor, count))

    async def _maybe(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        self.calls[verb] += 1
        if self.down:
            raise StoreUnavailable(f"{verb}: nobody is there")
        if verb in self.errors:
            raise self.errors[verb]
        if self.refuse_next == verb:
            self.refuse_next = ""
            raise StoreUnavailable(f"{verb}: the connection was refused")
        answer = await call()
        if self.lose_next == verb and answer:
            self.lose_next = ""
            raise StoreUnavailable(f"{verb}: the answer was lost")
        return answer


class Stage:
    """A hub, and what a test does to it and sees of it."""

    def __init__(self, partitions: int = 4) -> None:
        self.hub = MemoryHub("stage", partitions)
        self.store = MemoryStore(self.hub, "client")
        self.facts: list[Fact] = []

    def worker(self, app: App, consumer: str = "w1", **options: Any) -> Worker:
        """A worker with quick settings whose facts are gathered."""
        options.setdefault("settings", settings())
        store = options.pop("store", None) or FaultyStore(self.hub, consumer)
        worker = Worker.from_store(app, store, **options)
        worker.facts.subscribe(self.facts.append)
        return worker

    @asynccontextmanager
    async def working(self, app: App, consumer: str = "w1", **options: Any) -> AsyncGenerator[Worker]:
        """A worker that runs until the block ends, and then stops by itself."""
        worker = self.worker(app, consumer, **options)
        async with worker, running(worker):
            yield worker

    async def start(self, name: str, *args: object, instance: str = "one") -> None:
        """Start an instance; several arguments go as `args`."""
        call = Arguments(input=raw(args[0])) if len(args) == 1 else Arguments(args=tuple(raw(arg) for arg in args))
        await self.store.start(StartRequest(instance, StartExecution(name=name, execution=f"x-{instance}", call=call)))

    async def send(self, instance: str, message: Message) -> None:
        """Append a message to a mailbox."""
        await self.store.send([Outgoing(instance, message)])

    async def raise_event(self, instance: str, name: str, data: object = None) -> None:
        """Raise an external event."""
        await self.send(instance, RaiseEvent(name=name, data=raw(data)))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition of the hub or of the facts; look again whenever something is written."""
        with anyio.fail_after(LONGEST):
            while not condition():
                with anyio.move_on_after(0.02):
                    await self.hub.changed()

    async def until_finished(self, instance: str = "one") -> Snapshot:
        """Wait until the instance has finished."""
        return await self.until_seen(instance, lambda snapshot: snapshot.status.finished)

    async def until_seen(self, instance: str, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """Wait until the instance is as it should be."""
        with anyio.fail_after(LONGEST):
            while True:
                snapshot = await self.store.get(instance)
                if snapshot is not None and condition(snapshot):
                    return snapshot
                await self.hub.changed()

    async def result(self, instance: str = "one") -> Any:
        """Wait for the instance's result."""
        snapshot = await self.until_finished(instance)
        assert isinstance(snapshot.last, ExecutionCompleted), snapshot.last
        return msgspec.json.decode(snapshot.last.result)

    async def history(self, instance: str = "one") -> list[Event]:
        """The instance's history."""
        return await self.store.history(instance)

    def told(self, kind: type[F]) -> list[F]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def held(self) -> int:
        """How many ready entries and tasks are held by anybody."""
        return sum(
            len(partition.ready.pending) + sum(len(queue.pending) for queue in partition.queues.values())
            for partition in self.hub.partitions
        )


@asynccontextmanager
async def running(worker: Worker) -> AsyncGenerator[None]:
    """The worker runs during the block; its end is awaited, and what it raises comes out."""
    task = asyncio.get_running_loop().create_task(worker.run())
    try:
        yield
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        raise
    worker.stop()
    await task
