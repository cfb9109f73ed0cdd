"""The frozen values that go one way through a turn: Delivery -> TurnCommit -> Receipt."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw, Struct

from redurable.core.events import Event
from redurable.core.messages import Mail, Message, StartExecution, SubOrchestrationFailure
from redurable.core.values import RuntimeStatus, Task


class Entry(Struct, frozen=True):
    """A ready entry that this worker holds: `instance` has mail. `deliveries` counts how often it changed hands because
    whoever held it fell silent, this delivery included; being recovered, or handed over, does not count. `handed`:
    another worker handed it over, because this one's code may be the right one. An empty id: nothing is held, the turn
    is decided ahead (see `TurnCommit`)."""

    partition: int
    id: str
    instance: str
    deliveries: int = 1
    handed: bool = False

    @property
    def again(self) -> bool:
        """Somebody held it before and fell silent."""
        return self.deliveries > 1


class Position(Struct, frozen=True):
    """Which history a cached replay has seen: `length` events of `execution`, the last of them written by `commit`."""

    execution: str
    length: int
    commit: str


class Delivery(Struct, frozen=True):
    """What a worker needs for a turn of one instance. `status` is None when there is no such instance.

    `events` continue the history from position `base`: the cached position when it is still true, else 0.
    `now` is the server's time in milliseconds. `announced` is the id of the ready entry that announces the instance.
    `unreadable` says why the history or the start slot cannot be decoded; then `events`, `start` and `mails` are empty.
    `parked_until` is when a parked instance or a delayed start may go on (0: it is neither). `unread`: what the last
    `TurnCommit.unread` said. `heard` is the id of the newest control message since the last turn that wrote; `control`
    is that message when it lies behind the last of `mails`.
    `held`: it is parked until somebody redrives it, and no user code may run; `parked_until` means nothing then.
    """

    entry: Entry
    now: int
    head: str = ""
    status: RuntimeStatus | None = None
    name: str = ""
    execution: str = ""
    announced: str = ""
    parks: int = 0
    unreadable: str = ""
    start: StartExecution | None = None
    mails: tuple[Mail, ...] = ()
    base: int = 0
    events: tuple[Event, ...] = ()
    parked_until: int = 0
    unread: dict[str, int] = {}
    heard: str = ""
    control: Mail | None = None
    held: bool = False


class Timer(Struct, frozen=True):
    """A durable timer of an execution; `due` in milliseconds of the Unix epoch."""

    seq: int
    due: int


class Outgoing(Struct, frozen=True):
    """A message for another instance. `refusal` goes to the sender when `message` starts an instance that exists, or is
    a `Rewind` for one that does not."""

    instance: str
    message: Message | StartExecution
    refusal: tuple[str, SubOrchestrationFailure] | None = None


class DeadLetter(Struct, frozen=True):
    """What could not be delivered, and why. `position` says where in the intake it lay; empty: it came another way, or
    was delivered and read first."""

    reason: str
    instance: str
    fields: tuple[tuple[bytes, bytes], ...]
    position: str = ""


class Difference(Struct, frozen=True, omit_defaults=True):
    """Where a replay parts from its history. `position` counts the events from 0; `expected` is the event there (empty:
    the history has no more), `asked` the command of the code (empty: none), `place` the source line that asked."""

    position: int
    expected: str = ""
    asked: str = ""
    place: str = ""


class Park(Struct, frozen=True):
    """Leave the mail where it is and try again in `retry_ms` milliseconds: this code cannot take the turn now. None:
    only when somebody redrives it."""

    reason: str
    detail: str
    retry_ms: int | None
    difference: Difference | None = None


class Quarantine(Struct, frozen=True, omit_defaults=True):
    """The mark of a parked instance: why, and since when (milliseconds of the Unix epoch), it has been parked again and
    again. It goes when a turn is taken."""

    since: int
    reason: str
    detail: str = ""
    difference: Difference | None = None


class Parking(Struct, frozen=True):
    """How long a parked instance waits: `min_ms` at first, doubled with every time in a row, at most `max_ms`."""

    min_ms: int
    max_ms: int

    def wait_ms(self, parks: int) -> int:
        """The wait after it was parked so often in a row."""
        return min(self.min_ms * 2 ** min(parks, 20), self.max_ms)


class Kept(Struct, frozen=True):
    """What of a history the next execution begins with: `first`, then the events from the second one on, `count` in
    all; none of them when `count` is 0."""

    count: int
    first: Event


class TurnCommit(Struct, frozen=True, kw_only=True):
    """All that one turn makes true, or nothing of it. Accepted only while the instance's head is `expected`.

    `consumed` is the id of the last mailbox entry that the turn read (empty: none). `next` begins the next execution
    after continue-as-new; with `kept`, it has the beginning of this one's history as its own, before its first turn.
    With `park` nothing is consumed. Without anything it releases the ready entry.
    With a `status` or a `next`, `name` repeats that of the delivery: a store may list instances by it.
    `closed_calls` are the seqs of calls with durable timeouts that have their outcome, or wait in vain for one: the
    timers that the store made of those timeouts go.
    `canceled_calls` are the seqs of calls whose tasks nobody waits for any more, while they lie in a queue or run.
    `unread`, from now on (None: as before): how many external events of each name user code has not taken; or, of a
    name that it waits for, since when, in milliseconds, with a minus: never both. `heard`
    repeats that of the delivery: a park or a release rings for a control message that is newer (None: for none).

    A turn without a ready entry (its `entry` has no id) was decided ahead, from an outcome that is in no mailbox yet.
    It is accepted only with the end of that attempt, and only while the instance is not announced, has no mail and is
    not parked: so nothing that came earlier is overtaken.
    """

    entry: Entry
    expected: str
    head: str
    execution: str = ""
    name: str = ""
    consumed: str = ""
    start_consumed: bool = False
    events: tuple[Event, ...] = ()
    status: RuntimeStatus | None = None
    tasks: tuple[Task, ...] = ()
    timers: tuple[Timer, ...] = ()
    canceled_timers: tuple[int, ...] = ()
    closed_calls: tuple[int, ...] = ()
    canceled_calls: tuple[int, ...] = ()
    outbox: tuple[Outgoing, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    custom_status: Raw | None = None
    next: StartExecution | None = None
    kept: Kept | None = None
    park: Park | None = None
    unread: dict[str, int] | None = None
    heard: str | None = None

    @property
    def is_ahead(self) -> bool:
        """True for a turn that was decided ahead."""
        return not self.entry.id

    @property
    def is_release(self) -> bool:
        """True for a commit that only gives its ready entry up; `name` alone says nothing."""
        written = self.events or self.tasks or self.timers or self.canceled_timers or self.outbox or self.dead
        written = written or self.next or self.closed_calls or self.custom_status is not None
        read = self.consumed or self.start_consumed
        return not (written or read or self.status or self.park or self.unread is not None)


class Outcome(StrEnum):
    """What became of a commit."""

    ACCEPTED = "accepted"
    ALREADY_APPLIED = "already-applied"
    FENCED = "fenced"
    FAILED = "failed"


class Receipt(Struct, frozen=True):
    """The store's answer to one `TurnCommit`; `detail` explains FAILED."""

    outcome: Outcome
    detail: str = ""
