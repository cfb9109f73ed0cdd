"""The contract between the runtime and its storage: `Store` (the hot verbs) and `Inspect` (the read side).

Every write is idempotent by an id that its arguments carry, so a caller may repeat it after `StoreUnavailable`.
All times are milliseconds of the store's own clock; the stores' clock is the only clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal, Protocol

from msgspec import Raw, Struct

from redurable.core.completion import Completion
from redurable.core.delivery import Delivery, Entry, Outgoing, Position, Receipt, TurnCommit
from redurable.core.messages import ActivityFailure, ActivityResult, ActivityStopped, StartExecution
from redurable.core.values import ABSENT, RuntimeStatus, Task
from redurable.store.hearing import Answered, Heard
from redurable.store.inspect import Inspect
from redurable.store.membership import Membership, Skills
from redurable.store.purging import Purged
from redurable.store.queries import Standing
from redurable.store.redriving import Redriven
from redurable.store.routing import Relayed, Routed
from redurable.store.unknown import UnknownInstance

OnConflict = Literal["fail", "use-existing", "replace-finished"]

MOST_SEARCHED = 1_000
"""So many tasks of a queue are looked at in search of one."""


class StartRequest(Struct, frozen=True):
    """Begin an instance. `message.execution` is minted by the caller, so a repeated request is recognised."""

    instance: str
    message: StartExecution
    on_conflict: OnConflict = "fail"
    delay_ms: int = 0


class StartOutcome(StrEnum):
    """STARTED also answers a repeated request; EXISTING is what `use-existing` returns; REFUSED: the id is taken."""

    STARTED = "started"
    EXISTING = "existing"
    REFUSED = "refused"


class SendOutcome(StrEnum):
    """KEPT: no such instance yet, the event waits for it; also for one that waits already under that event id. DROPPED,
    BURIED: no such instance, and the event is gone, or a dead letter (`UnknownInstance` decides). MISSING: no such
    instance, and the message is no event. STALE: it was meant for an execution that is gone."""

    SENT = "sent"
    KEPT = "kept"
    DROPPED = "dropped"
    BURIED = "buried"
    MISSING = "missing"
    FINISHED = "finished"
    STALE = "stale"


class TaskLease(Struct, frozen=True):
    """A task that this worker holds. `again`: it was delivered before, to somebody. `queued_at`: when it came into its
    queue, in milliseconds.

    `reclaim` alone sets `holder`, the consumer who let the lease run out (it may be the caller), and `heartbeat`, the
    details that `renew` stored for it last. A caller sets `heartbeat` of what it hands to `renew` (store these), to
    `complete` (some are stored: delete them), and to `hand_back` (delete them, and put these into the task).
    """

    partition: int
    queue: str
    id: str
    task: Task
    again: bool = False
    queued_at: int = 0
    holder: str = ""
    heartbeat: Raw = ABSENT


class TaskDemand(Struct, frozen=True):
    """How many tasks of which queues the caller can run now."""

    queues: tuple[str, ...]
    count: int


class TaskEnd(Struct, frozen=True):
    """How an attempt ended: `message` for the last one, else `retry` is put back into its queue after `delay_ms`.
    Neither: its call was cancelled, and there is nothing to say.

    Only timers count the wait of a retry in its queue: with `schedule_to_start`, `delay_ms` is 1 at least. A call has
    one retry that waits: a later one takes its place. A retry of an execution that is over is dropped.

    `turn` is what `message` leads to, decided ahead: by itself, with nothing checked out (`TurnCommit.is_ahead`).
    """

    lease: TaskLease
    message: ActivityResult | ActivityFailure | ActivityStopped | None = None
    retry: Task | None = None
    delay_ms: int = 0
    turn: TurnCommit | None = None


class DueTimer(Struct, frozen=True, order=True):
    """An entry of a partition's timer set; `member` is opaque to the runtime."""

    due: int
    partition: int
    member: str


class Committed(Struct, frozen=True):
    """`receipts` in the order of the commits; `tasks` were received in the same step; `timers` were just written."""

    receipts: tuple[Receipt, ...]
    tasks: tuple[TaskLease, ...] = ()
    timers: tuple[DueTimer, ...] = ()


class Completed(Struct, frozen=True):
    """`accepted[i]` is False when end i came too late: another worker had completed that task.

    `deliveries` and `entries` were received in the same step: the first are checked out, the others are not. So were
    `tasks`. `receipts` are those of the turns that came with ends, in their order; `timers` were just written.
    """

    accepted: tuple[bool, ...]
    deliveries: tuple[Delivery, ...] = ()
    entries: tuple[Entry, ...] = ()
    timers: tuple[DueTimer, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    tasks: tuple[TaskLease, ...] = ()


class Upcoming(Struct, frozen=True):
    """Timers due until the asked time, and the store's clock."""

    now: int
    timers: tuple[DueTimer, ...]


class Fired(Struct, frozen=True):
    """`early` timers are not due yet by the store's clock."""

    now: int
    fired: int
    early: tuple[DueTimer, ...] = ()


class Reclaimed(Struct, frozen=True):
    """Entries and tasks whose holders let their lease run out; the caller holds them now."""

    entries: tuple[Entry, ...] = ()
    tasks: tuple[TaskLease, ...] = ()


class Lost(Struct, frozen=True):
    """What the caller does not hold any more. `canceled` tasks it holds in vain: their calls were cancelled."""

    entries: tuple[Entry, ...] = ()
    tasks: tuple[TaskLease, ...] = ()
    canceled: tuple[TaskLease, ...] = ()


class CanceledCalls(Struct, frozen=True):
    """News: these calls of an execution were cancelled; `id` is its place among the news of its partition."""

    id: str
    instance: str
    execution: str
    seqs: tuple[int, ...]


class Store(Protocol):
    """The hot verbs. Errors: `StoreUnavailable` (repeat it), `StoreRefused` (a person must act; its subclass
    `StoreDamaged`: another program wrote over a key, and the error names it).

    Durable timeouts of an activity (`Timeouts.durable`) are timers that the store makes, for tasks that have them:

    * schedule-to-close: made by `commit` with the task, due `GRACE_MS` after `task.close_by`. It tells the instance
      `ActivityFailure(…, failure=NO_END)`.
    * schedule-to-start: made whenever the task comes into its queue, by `commit`, by `fire` of its retry, and by
      `hand_back`; due so long after `task.waiting_since`, or after this moment where that is 0. It tells the instance
      `not_begun(task)`, but only while nobody has received that entry of the queue; else it does nothing. The entry
      stays: whoever receives it sees that it is too late. A call has one such timer: a later one takes its place.

    Both go with `closed_calls`, and like all timers do nothing when the execution is gone; so does a retry that waits.
    The names are those of `core.limits`.

    Cancelled calls (`TurnCommit.canceled_calls`) are told to workers in two ways, both made by `commit`, and only when
    there are any: as news of their partition, of which the newest `MOST_NEWS` are kept, and as marks, of which the
    newest `MOST_MARKS` of a partition are kept. Their tasks stay where they are, and are ended by whoever holds them.
    """

    hub: str
    partitions: int
    consumer: str

    async def open(self, create: bool = True) -> bool:
        """Connect, and join the hub, or create it; unless `create`, False says that there is no such hub, and `open`
        may be called again. Raise `StoreRefused` for a hub of an unknown format or an unfit server."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...

    async def set_unknown(self, rule: UnknownInstance) -> None:
        """What becomes of events for instances that do not exist, from now on, whoever sends, routes or relays them.
        A hub that nobody has told anything keeps them (`UnknownInstance()`)."""
        ...

    async def start(self, request: StartRequest) -> StartOutcome:
        """Create an instance with its start message and announce it. Events that were kept for it, in the order in
        which they came, are the first mail that it reads."""
        ...

    async def send(self, messages: Sequence[Outgoing]) -> list[SendOutcome]:
        """Append messages to mailboxes and announce their instances. Events for instances that do not exist are kept,
        dropped or buried, as the hub's rule says; an event id that is kept already is kept once. A start that has a
        `not_before` to come begins the instance parked until then, as one with a delay; so does `relay`."""
        ...

    async def receive(self, partitions: Sequence[int], count: int, block_ms: int) -> list[Entry]:
        """Take ready entries of these partitions, waiting up to `block_ms` for the first (0: do not wait)."""
        ...

    async def recover(self) -> Reclaimed:
        """All that this consumer holds according to the store; read after a lost connection."""
        ...

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        """Read what a turn of each entry needs; `known[i]` is the caller's cached position. Writes nothing."""
        ...

    async def commit(self, commits: Sequence[TurnCommit], demand: TaskDemand | None = None) -> Committed:
        """Make turns true, each all or nothing; then receive up to `demand` tasks in the same step. `timers` of the
        answer holds those of timeouts, too."""
        ...

    async def receive_tasks(self, demand: TaskDemand, block_ms: int) -> list[TaskLease]:
        """Take tasks, waiting up to `block_ms` for the first (0: do not wait)."""
        ...

    async def complete(
        self,
        ends: Sequence[TaskEnd],
        known: Sequence[Position | None],
        count: int = 0,
        partitions: Sequence[int] = (),
        demand: TaskDemand | None = None,
    ) -> Completed:
        """End attempts: acknowledge and append the outcome, or schedule the retry; heartbeat details that lie in the
        store go with an end that is accepted. In the place of the outcome its turn is made true, if there is one and
        it can be (`TurnCommit.is_ahead`); else its receipt is FENCED or FAILED, and the outcome appended.

        Then receive in the same step up to `count` ready entries of `partitions`, checked out where they belong to an
        instance of `ends`, and up to `demand` tasks of the partitions of turns."""
        ...

    async def settle(self, said: Completion) -> bool:
        """Do what is said of an attempt by token, in one step: take it away, where it is held (`is_held`: a retry that
        waits) or lies in its queue (the entry of the token, received by somebody, with a task that `is_of` the token),
        and put down what follows (`sequel`) as `complete` does. A sign of life of an attempt that lies in its queue
        changes nothing. False, and nothing is written: it is in neither place, or its execution is over, or another hub
        is meant. The rules are those of `core.completion`. What the intake says so and is late is a dead letter."""
        ...

    async def hand_over(self, entries: Sequence[Entry], consumer: str) -> None:
        """Make these entries, as far as the caller holds them, that consumer's, who finds them by `receive_handed`; no
        delivery is counted. If it does not come for them, their leases run out like any others."""
        ...

    async def receive_handed(self, block_ms: int) -> list[Entry]:
        """Entries that others handed over to this consumer, each once (`handed` is true), waiting up to `block_ms` for
        the first (0: do not wait)."""
        ...

    async def hand_back(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> None:
        """Give up what was received but not begun, so that another worker takes it at once."""
        ...

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        """Renew the leases that the caller still holds, and store the heartbeat details that come with them (per call
        of an activity the newest); say which it does not hold: of those, nothing is stored. Of those that it holds, say
        which have a mark of cancelled calls."""
        ...

    async def canceled(self, after: dict[int, str], block_ms: int) -> list[tuple[int, CanceledCalls]]:
        """News of cancelled calls, behind these ids of these partitions ("": all that are kept), waiting up to
        `block_ms` for the first (0: do not wait); of a partition the oldest first."""
        ...

    async def reclaim(
        self, partitions: Sequence[int], entries: int, entry_lease_ms: int, demand: TaskDemand, task_lease_ms: int
    ) -> Reclaimed:
        """Take over entries and tasks whose lease ran out, up to these counts; of tasks, say who held them, and what
        heartbeat details are stored."""
        ...

    async def steal(self, partitions: Sequence[int], count: int, waited_ms: int) -> list[Entry]:
        """Take ready entries of partitions that others prefer, when the oldest has waited for `waited_ms`."""
        ...

    async def upcoming(self, partitions: Sequence[int], horizon_ms: int, count: int) -> Upcoming:
        """The timers of these partitions that are due within `horizon_ms`, earliest first."""
        ...

    async def fire(self, timers: Sequence[DueTimer]) -> Fired:
        """Deliver timers that are due, each once whoever calls."""
        ...

    async def relay(self, partition: int, count: int) -> Relayed:
        """Deliver a prefix of a partition's outbox, each entry once whoever calls."""
        ...

    async def route(self, count: int, block_ms: int) -> Routed:
        """Deliver a prefix of the hub's intake, each entry once whoever calls."""
        ...

    async def hear(self, partitions: Sequence[int], count: int, block_ms: int) -> Heard:
        """Read about `count` answers of foreign workers, waiting up to `block_ms` for the first: see `Heard`."""
        ...

    async def forget(self, heard: Sequence[Answered]) -> None:
        """Delete answers that were dealt with: their attempts are ended by `complete`, or came too late."""
        ...

    async def served(self) -> tuple[str, ...]:
        """The task queues that foreign workers say they serve."""
        ...

    async def sweep(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        """Announce waiting instances that have mail nobody was told of; start messages may wait for one of many.
        Return the next cursor ("" at the end) and how many instances were announced."""
        ...

    async def heartbeat(self, ttl_ms: int, skills: Skills) -> Membership:
        """Say that this consumer lives, and what it can do, which does not change while it lives; return who does. What
        others wrote into the membership without readable skills is no worker."""
        ...

    async def leave(self) -> None:
        """Take this consumer out of the membership and out of the consumer groups, unless it still holds something."""
        ...

    async def reap(self, idle_ms: int) -> int:
        """Remove consumers that hold nothing and were not seen for `idle_ms`; return how many."""
        ...

    async def purge(self, instance: str, execution: str = "") -> Purged:
        """Delete all that is stored of a finished instance, in one step but for many past histories; with
        an `execution` only if that is its current one, else missing. AWAITED: `start` does not replace it, either."""
        ...

    async def expired(
        self, partition: int, ages: Mapping[RuntimeStatus, int], count: int, skip: int = 0
    ) -> list[Standing]:
        """The first `count` instances of a partition that finished with one of these statuses longer ago than its
        milliseconds, those of a status oldest first, behind `skip` others; fewer only at the end. Sub-orchestrations
        are not among them: they go with their parents, unless they were disowned."""
        ...

    async def disown(self, instance: str, parent: str) -> None:
        """A sub-orchestration of this parent is on its own from now on, whether or not it has finished."""
        ...

    async def mend(self, partition: int, cursor: str, count: int) -> tuple[str, int]:
        """Look at about `count` instances of a partition: put right what queries, counts and `expired` go by, where
        other programs have damaged it, disown those whose parents are gone, and announce finished ones with mail that
        nobody was told of, which no sweep looks at. Return the next cursor ("" at the end) and how much was put right.
        """
        ...

    async def prune(self, instance: str, keep: int) -> int:
        """Forget the past executions of an instance, and their histories, but the first (a repeated start is known by
        it) and the last `keep`; return how many."""
        ...

    async def redrive(self, instance: str, head: str) -> Redriven:
        """Let a quarantined instance be tried at once, also one that is held; its count of parks is 1 again, its mark
        stays until a turn is taken. `head`, unique, becomes the instance's, so that a turn decided before is fenced."""
        ...

    async def drop_letters(self, ids: Sequence[str]) -> int:
        """Delete dead letters; return how many were there."""
        ...

    async def redrive_letters(self, ids: Sequence[str]) -> list[str]:
        """Put dead letters back into the intake, as `letters.as_entry` has them, each at once and once whoever calls;
        return the ids of those. Others stay: there is none of that id, or it did not come that way."""
        ...


class Hub(Store, Inspect, Protocol):
    """A store with its read side: what `open_hub` hands out."""
