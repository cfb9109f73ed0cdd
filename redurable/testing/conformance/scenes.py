"""Steps that many cases share: what a worker does, without user code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import msgspec
from msgspec import Raw

from redurable.core.delivery import Delivery, Entry, Outcome, Outgoing, Receipt, TurnCommit
from redurable.core.events import Event, EventRaised, ExecutionCompleted, ExecutionStarted
from redurable.core.ids import partition_of
from redurable.core.messages import (
    ActivityResult,
    Malformed,
    Message,
    RaiseEvent,
    StartExecution,
    SubOrchestrationFailure,
)
from redurable.core.values import ActivityOptions, Arguments, Failure, RuntimeStatus, Task
from redurable.store.port import (
    Committed,
    Hub,
    Reclaimed,
    SendOutcome,
    StartOutcome,
    StartRequest,
    TaskDemand,
    TaskEnd,
    TaskLease,
)
from redurable.testing.conformance.factory import StoreFactory

PATIENCE_S = 10
"""How long a blocked reader may take to wake, on a busy machine."""

TRUE = Raw(b"true")


def message(execution: str = "x1", name: str = "Demo") -> StartExecution:
    """A start message."""
    return StartExecution(name=name, execution=execution, call=Arguments(input=Raw(b'{"n":1}')))


def request(instance: str = "one", execution: str = "x1", **options: Any) -> StartRequest:
    """A request to start an instance."""
    return StartRequest(instance, message(execution), **options)


def event(name: str = "Go", **fields: Any) -> RaiseEvent:
    """An external event."""
    return RaiseEvent(name=name, **fields)


def task(instance: str = "one", seq: int = 1, queue: str = "default", execution: str = "x1") -> Task:
    """A piece of work."""
    options = ActivityOptions(task_queue=queue)
    return Task(instance, execution, seq, "Work", Arguments(input=Raw(b"1")), options)


def result(lease: TaskLease) -> ActivityResult:
    """A final outcome of a task."""
    return ActivityResult(execution=lease.task.execution, seq=lease.task.seq, result=Raw(b'"done"'))


def refusal(execution: str = "x1", seq: int = 1) -> SubOrchestrationFailure:
    """What a parent is told when its child's id is taken."""
    return SubOrchestrationFailure(execution=execution, seq=seq, failure=Failure("InstanceAlreadyExists", "taken"))


def ended(lease: TaskLease) -> TaskEnd:
    """The end of an attempt that succeeded."""
    return TaskEnd(lease, message=result(lease))


def demand(count: int = 10, *queues: str) -> TaskDemand:
    """Ask for tasks."""
    return TaskDemand(queues or ("default",), count)


def everywhere(store: Hub) -> range:
    """All partitions."""
    return range(store.partitions)


def partition(store: Hub, instance: str) -> int:
    """Where an instance lives."""
    return partition_of(instance, store.partitions)


def elsewhere(store: Hub, instance: str, prefix: str = "other") -> str:
    """The id of an instance that lives in another partition."""
    return next(
        name for name in (f"{prefix}-{n}" for n in range(1000)) if partition(store, name) != partition(store, instance)
    )


async def receive(store: Hub, count: int = 100) -> list[Entry]:
    """All ready entries, without waiting."""
    return await store.receive(everywhere(store), count, 0)


async def take(store: Hub) -> Delivery:
    """The one ready entry that there is, checked out cold."""
    entries = await receive(store)
    assert len(entries) == 1, f"expected one ready entry, got {entries}"
    return await checkout(store, entries[0])


async def checkout(store: Hub, entry: Entry) -> Delivery:
    """One entry, checked out cold."""
    (delivery,) = await store.checkout([entry], [None])
    return delivery


async def begin(store: Hub, instance: str = "one", execution: str = "x1") -> Delivery:
    """Start an instance and check it out."""
    assert await store.start(request(instance, execution)) is StartOutcome.STARTED
    return await take(store)


def raised(name: str = "Go") -> EventRaised:
    """Some event of a history."""
    return EventRaised(at=1, name=name)


def turn(delivery: Delivery, head: str, *events: Event, **fields: Any) -> TurnCommit:
    """A commit that consumes all that was delivered; the last event carries the head, as the core writes it."""
    written = [*_first(delivery), *events]
    if written:
        written[-1] = msgspec.structs.replace(written[-1], commit=head)
    defaults: dict[str, Any] = {
        "consumed": delivery.mails[-1].id if delivery.mails else "",
        "start_consumed": delivery.start is not None,
        "status": RuntimeStatus.RUNNING,
        "execution": delivery.execution,
        "name": delivery.name,
        "heard": delivery.heard,
    }
    return TurnCommit(
        entry=delivery.entry, expected=delivery.head, head=head, events=tuple(written), **(defaults | fields)
    )


def _first(delivery: Delivery) -> list[Event]:
    start = delivery.start
    if start is None:
        return []
    return [ExecutionStarted(at=1, name=start.name, execution=start.execution, parent=start.parent, tags=start.tags)]


def release(delivery: Delivery, head: str) -> TurnCommit:
    """A commit that only gives its entry up."""
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=head,
        execution=delivery.execution,
        heard=delivery.heard,
    )


async def accept(store: Hub, commit: TurnCommit, wanted: TaskDemand | None = None) -> Committed:
    """Commit one turn, which must be accepted."""
    committed = await store.commit([commit], wanted)
    assert committed.receipts == (Receipt(Outcome.ACCEPTED),)
    return committed


async def outcome(store: Hub, commit: TurnCommit) -> Outcome:
    """Commit one turn."""
    (receipt,) = (await store.commit([commit])).receipts
    return receipt.outcome


async def running(store: Hub, instance: str = "one", execution: str = "x1", **fields: Any) -> Committed:
    """An instance that has taken its first turn; its head is `h1`."""
    return await accept(store, turn(await begin(store, instance, execution), "h1", **fields))


async def finished(store: Hub, instance: str = "one", execution: str = "x1") -> None:
    """An instance that has completed; its head is `end`."""
    delivery = await begin(store, instance, execution)
    await accept(store, turn(delivery, "end", ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED))


async def with_tasks(store: Hub, *tasks: Task, instance: str = "one") -> list[TaskLease]:
    """A running instance whose tasks this consumer holds."""
    await running(store, instance, tasks=tasks)
    leases = await store.receive_tasks(demand(len(tasks), *dict.fromkeys(t.options.task_queue for t in tasks)), 0)
    assert len(leases) == len(tasks)
    return leases


async def send(store: Hub, instance: str, *messages: Any) -> list[SendOutcome]:
    """Send messages to one instance."""
    return await store.send([Outgoing(instance, message) for message in messages])


async def drain(store: Hub) -> None:
    """Relay until every outbox is empty."""
    while sum([(await store.relay(number, 100)).count for number in everywhere(store)]):
        pass


def said(delivery: Delivery) -> list[Message | Malformed]:
    """The messages of a delivery."""
    return [mail.message for mail in delivery.mails]


def results(delivery: Delivery) -> list[ActivityResult]:
    """The messages of a delivery, all of them results of activities."""
    return [message for message in said(delivery) if isinstance(message, ActivityResult)]


def events(delivery: Delivery) -> list[RaiseEvent]:
    """The messages of a delivery, all of them external events."""
    return [message for message in said(delivery) if isinstance(message, RaiseEvent)]


async def sweep(store: Hub, count: int = 100) -> int:
    """Sweep all partitions to their end; returns how many instances were announced."""
    announced = 0
    for number in everywhere(store):
        cursor, first = "", True
        while first or cursor:
            cursor, some = await store.sweep(number, cursor, count)
            announced, first = announced + some, False
    return announced


async def mend(store: Hub, count: int = 100) -> int:
    """Look at all instances of all partitions; returns how much was put right."""
    mended = 0
    for number in everywhere(store):
        cursor, first = "", True
        while first or cursor:
            cursor, some = await store.mend(number, cursor, count)
            mended, first = mended + some, False
    return mended


async def reclaim(store: Hub, lease_ms: int, entries: int = 10, tasks: int = 10) -> Reclaimed:
    """Take over what has been held for `lease_ms`."""
    return await store.reclaim(everywhere(store), entries, lease_ms, demand(tasks), lease_ms)


async def take_over(factory: StoreFactory, store: Hub, entries: int = 10, tasks: int = 10) -> Reclaimed:
    """Take over all that is held, whoever holds it."""
    await factory.advance(2)
    return await reclaim(store, 1, entries, tasks)


async def fire(store: Hub) -> int:
    """Fire all timers that are due now."""
    due = await store.upcoming(everywhere(store), 0, 1000)
    return (await store.fire(due.timers)).fired


async def now(store: Hub) -> int:
    """The hub's time in milliseconds."""
    return (await store.upcoming([0], 0, 1)).now


async def together(*steps: Callable[[], Any]) -> list[Any]:
    """Results of steps that run at the same time, in the order of the steps."""
    results: list[Any] = [None] * len(steps)

    async def run(index: int) -> None:
        results[index] = await steps[index]()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            for index in range(len(steps)):
                group.start_soon(run, index)
    return results
