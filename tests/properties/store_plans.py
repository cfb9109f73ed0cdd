"""What clients, workers and foreign programs may ask of a store, drawn at random and in words that fit any store."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import Raw, Struct
from msgspec.structs import replace

from redurable.core.delivery import DeadLetter, Delivery, Kept, Outgoing, Park, Position, Timer, TurnCommit
from redurable.core.events import ExecutionCompleted, ExecutionContinuedAsNew, ExecutionStarted
from redurable.core.messages import (
    ActivityResult,
    Message,
    Resume,
    Rewind,
    Rewound,
    StartExecution,
    Suspend,
    Terminate,
    TimerDue,
)
from redurable.core.values import ABSENT, Parent, RuntimeStatus, Task, Timeouts
from redurable.store.queries import Query
from redurable.store.unknown import UnknownInstance
from redurable.testing.conformance import scenes
from tests.properties.pairs import FAR_MS
from tests.properties.twins import CONSUMERS, INSTANCES, NAMES, PARTITIONS, QUEUES, TAGS, Fields

HOUR_MS = 3_600_000
"""What waits, waits for so long: it never comes to an end here."""
EVERYTHING = scenes.demand(100, *QUEUES)

instances = st.sampled_from(INSTANCES)
executions = st.sampled_from(["x1", "x2"])
rules = st.builds(
    UnknownInstance, rule=st.sampled_from(["keep", "keep", "drop", "dead-letter"]), most=st.sampled_from([1, 1000])
)
partitions = st.integers(0, PARTITIONS - 1)
workers = st.integers(0, len(CONSUMERS) - 1)
picks = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)
details = st.sampled_from([ABSENT, scenes.TRUE, Raw(b"[7]")])
seqs = st.integers(0, 2)
demands = st.sampled_from([None, EVERYTHING, scenes.demand(1, QUEUES[0])])

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(scenes.event, st.sampled_from(["A", "B"]), id=st.sampled_from(["", "1"])),
    st.sampled_from([Terminate(), Suspend(), Resume()]),
    st.builds(ActivityResult, execution=executions, seq=seqs),
    st.builds(Rewind, parent=st.builds(Parent, instances, executions, seqs), heir=st.just("x3")),
    st.builds(TimerDue, execution=executions, seq=seqs, due=st.just(1)),
)
tags = st.dictionaries(st.sampled_from([key for key, _ in TAGS]), st.just("1"))
parents = st.none() | st.builds(Parent, instances, executions, seqs)


def start_message(execution: str, name: str, tags: dict[str, str], parent: Parent | None) -> StartExecution:
    """A start message with all that instances are listed by."""
    return replace(scenes.message(execution, name), tags=tags, parent=parent)


queries = st.builds(
    Query,
    statuses=st.lists(st.sampled_from([*RuntimeStatus]), max_size=2, unique=True).map(tuple),
    names=st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple),
    prefix=st.sampled_from(["", "", "a", "x"]),
    tags=tags.map(lambda found: tuple(found.items())),
    quarantined=st.sampled_from([False, False, True]),
)
starts = st.builds(
    Outgoing, instances, st.builds(start_message, executions, st.sampled_from(NAMES), tags, parents),
    st.none() | st.tuples(instances, st.builds(scenes.refusal, executions)),
)  # fmt: skip
rewinds = st.builds(
    Outgoing,
    instances,
    st.builds(Rewind, parent=st.builds(Parent, instances, executions, seqs), heir=st.just("x3")),
    st.none() | st.tuples(instances, st.builds(scenes.refusal, executions)),
)
outgoing = st.one_of(
    st.builds(Outgoing, instances, messages), st.builds(Outgoing, instances, messages), starts, rewinds
)
positions = st.none() | st.builds(Position, executions, st.integers(0, 4), st.integers(1, 12).map("h{}".format))

mail_fields: st.SearchStrategy[Fields] = st.sampled_from(
    [{b"event": b"F"}, {b"terminate": b"now"}, {b"nonsense": b"\xff"}, {b"m": b"{}"}, {b"event": b"F", b"data": b"{"}]
)
intake_kinds = st.sampled_from(
    [{b"start": b"Demo"}, {b"start": b"Demo", b"id": b"x1"}, {b"event": b"F", b"id": b"1"}, {b"terminate": b""},
     {b"resume": b"go"}, {b"nonsense": b"\xff"}, {b"start": b"Demo", b"input": b"{"}]
)  # fmt: skip


class Plan(Struct, frozen=True):
    """What a turn writes, in words that fit both stores."""

    kind: str
    mails: int
    tasks: int
    queue: str
    due: tuple[int, ...]
    canceled: int
    closed: int
    calls: int
    limits: tuple[int, int]
    outbox: tuple[Outgoing, ...]
    dead: bool
    status: bool
    retry_ms: int | None
    next: str
    kept: int
    renamed: str
    unread: dict[str, int] | None
    deaf: bool


plans = st.builds(
    Plan,
    kind=st.sampled_from(["turn", "turn", "turn", "release", "park", "complete", "again", "rewind"]),
    mails=st.integers(0, 4),
    tasks=st.integers(0, 2),
    queue=st.sampled_from(QUEUES),
    due=st.lists(st.sampled_from([1, FAR_MS - 1]), max_size=2).map(tuple),
    canceled=st.integers(0, 2),
    closed=st.integers(0, 2),
    calls=st.integers(0, 2),
    limits=st.tuples(st.sampled_from([0, 0, 1, FAR_MS]), st.sampled_from([0, 0, 1, FAR_MS])),
    outbox=st.lists(outgoing, max_size=2).map(tuple),
    dead=st.booleans(),
    status=st.booleans(),
    retry_ms=st.sampled_from([0, HOUR_MS, None]),
    next=executions,
    kept=st.integers(0, 3),
    renamed=st.sampled_from(NAMES),
    unread=st.sampled_from([None, None, {}, {"A": 3}]),
    deaf=st.booleans(),
)


def turn(plan: Plan, delivery: Delivery, head: str) -> TurnCommit:
    """The plan as a commit of this delivery."""
    heard = "" if plan.deaf else delivery.heard
    if plan.kind == "release" or delivery.status is None:
        return replace(scenes.release(delivery, head), heard=heard)
    if plan.kind == "park":
        park = Park("unknown orchestrator", "start a worker", plan.retry_ms)
        return TurnCommit(entry=delivery.entry, expected=delivery.head, head=head, park=park, heard=heard)
    instance, mails = delivery.entry.instance, delivery.mails[: plan.mails]
    consumed = mails[-1].id if mails else ""
    if plan.kind == "rewind" and delivery.events:
        return _rewound(plan, delivery, head, consumed)
    if delivery.status.finished:
        return scenes.turn(delivery, head, status=None, consumed=consumed)
    fields: dict[str, Any] = {
        "consumed": consumed,
        "tasks": tuple(
            _limited(scenes.task(instance, n, plan.queue, delivery.execution), *plan.limits) for n in range(plan.tasks)
        ),
        "timers": tuple(Timer(seq, due) for seq, due in enumerate(plan.due)),
        "canceled_timers": tuple(range(plan.canceled)),
        "closed_calls": tuple(range(plan.closed)),
        "canceled_calls": tuple(range(plan.calls)),
        "outbox": plan.outbox,
        "dead": (DeadLetter("bad", instance, ((b"a", b"b"),)),) if plan.dead else (),
        "custom_status": scenes.TRUE if plan.status else None,
        "unread": plan.unread,
    }
    if plan.kind == "complete":
        return scenes.turn(delivery, head, ExecutionCompleted(at=2), status=RuntimeStatus.COMPLETED, **fields)
    if plan.kind == "again":
        # Tags and parents stay, the name may change.
        following = StartExecution(name=plan.renamed, execution=plan.next + "'", number=2, **_labels(delivery))
        return scenes.turn(delivery, head, ExecutionContinuedAsNew(at=2, next="n"), next=following, **fields)
    return scenes.turn(delivery, head, scenes.raised(head), **fields)


def _labels(delivery: Delivery) -> dict[str, Any]:
    origin = delivery.start or next((e for e in delivery.events if isinstance(e, ExecutionStarted)), None)
    return {"tags": origin.tags, "parent": origin.parent} if origin else {}


def _rewound(plan: Plan, delivery: Delivery, head: str, consumed: str) -> TurnCommit:
    """The next execution begins with some of this one's history."""
    count = min(plan.kept, len(delivery.events))
    rewound = Rewound(previous=delivery.execution, kept=count, next_seq=1)
    following = StartExecution(name=delivery.name, execution=plan.next + "'", rewound=rewound, **_labels(delivery))
    kept = Kept(count, replace(delivery.events[0], at=7)) if count else None
    return replace(scenes.turn(delivery, head, next=following, kept=kept, consumed=consumed), events=())


def _limited(task: Task, starts: int, closes: int) -> Task:
    """The task with timeouts that have run out long ago (1), or never will."""
    options = replace(task.options, timeouts=Timeouts(schedule_to_start=starts, schedule_to_close=closes))
    return replace(task, options=options, waiting_since=1 if starts == 1 else 0)
