"""What a hub is made of, and the two rules that every verb shares: how mail is put down, and how it is announced.

A hub is plain data, changed by plain functions. One event loop runs them, none of them waits in the middle, so every
verb is atomic. Bodies are kept in their wire form, as a server would keep them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import msgspec
from msgspec import Struct

from redurable.core.codec import encode
from redurable.core.delivery import Entry, Quarantine
from redurable.core.foreign import INTERNAL
from redurable.core.ids import check_hub_name, partition_of
from redurable.core.messages import Control, Message, Rewind, StartExecution
from redurable.core.values import RuntimeStatus
from redurable.settings import DEFAULT_PARTITIONS
from redurable.store.membership import Skills
from redurable.store.memory.streams import Fields, PeekLock, Stream, StreamId, parse_id
from redurable.store.unknown import UnknownInstance

Clock = Callable[[], int]
"""The hub's clock: milliseconds of the Unix epoch."""

FORMAT = 2
NEVER = 2**53
"""Until then waits what waits to be redriven."""


def real_time() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


class Instance(Struct):
    """The instance hash: no payloads. `announced` is the id of its ready entry; parked while `parked_until` is set, and
    `held`: until it is redriven."""

    name: str
    execution: str
    number: int
    created: int
    updated: int
    head: str
    status: RuntimeStatus = RuntimeStatus.PENDING
    announced: str = ""
    parked_until: int | None = None
    parks: int = 0
    held: bool = False
    control: str = ""
    """The mail of the newest control message that no commit has read."""
    unread: dict[str, int] = {}
    parent: str = ""
    """Whose sub-orchestration it is."""
    awaited: str = ""
    """The mail of the newest message by which a parent that was rewound asks it to go on."""
    ended: int = 0
    """When it finished."""


class Mailbox(Stream):
    """Unread messages. It disappears when it empties."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[StreamId, tuple[int, str]] = {}
        """Of events that wait for their instance: until when, and their event id."""

    def forget_expired(self, now: int) -> None:
        """Delete events that waited too long for an instance that did not come."""
        for at in [at for at, (until, _) in self.kept.items() if until <= now]:
            del self.kept[at]
            self.entries.pop(at, None)


class Partition:
    """One slice of a hub."""

    def __init__(self, number: int, clock: Clock) -> None:
        self.number = number
        self.clock = clock
        self.ready = PeekLock()
        self.queues: dict[str, PeekLock] = {}
        self.outbox = Stream()
        self.marks: dict[str, StreamId] = {}
        self.feed = Stream()
        self.cancels = Stream()
        self.canceled: dict[tuple[str, str, int], None] = {}
        """Calls that were cancelled: instance, execution, seq. The newest of them."""
        self.answers = Stream()
        self.timers: dict[str, int] = {}
        self.retries: dict[str, bytes] = {}
        self.waits: dict[str, tuple[str, str]] = {}
        """Schedule-to-start timer -> the entry that it is about: the name of its queue, and its id there."""
        self.beats: dict[str, bytes] = {}
        """Call of an activity (as a member of its own kind, h) -> the heartbeat details of its running attempt."""
        self.open: set[str] = set()
        self.instances: dict[str, Instance] = {}
        self.starts: dict[str, bytes] = {}
        self.mailboxes: dict[str, Mailbox] = {}
        self.histories: dict[str, list[bytes]] = {}
        self.past: dict[tuple[str, str], list[bytes]] = {}
        self.executions: dict[str, list[str]] = {}
        self.custom_statuses: dict[str, bytes] = {}
        self.quarantines: dict[str, Quarantine] = {}

    def queue(self, name: str) -> PeekLock:
        """A task queue; it exists as soon as somebody asks for it."""
        return self.queues.setdefault(name, PeekLock())

    def mailbox(self, instance: str) -> Mailbox | None:
        """The unread messages of an instance, if there are any."""
        box = self.mailboxes.get(instance)
        if box is not None and box.kept:
            box.forget_expired(self.clock())
            if not box.entries:
                del self.mailboxes[instance]
                return None
        return box

    def has_mail(self, instance: str) -> bool:
        """True when a turn of the instance has something to read."""
        return instance in self.starts or bool(self.mailbox(instance))

    def is_awaited(self, instance: str) -> bool:
        """True while a parent's wish that the instance go on is unread."""
        mark, box = self.instances[instance].awaited, self.mailbox(instance)
        return bool(mark) and box is not None and parse_id(mark) in box.entries

    def is_over(self, instance: str) -> bool:
        """True when the instance has finished and may go: nobody waits for it, or it cannot hear who does."""
        finished = self.instances[instance].status.finished
        return finished and (instance in self.quarantines or not self.is_awaited(instance))

    def has_begun(self, instance: str, execution: str) -> bool:
        """True when this execution began the instance, or is its current one: then asking for it is a repetition."""
        past = self.executions.get(instance)
        return execution == self.instances[instance].execution or (past is not None and past[0] == execution)

    def put(self, instance: str, message: Message) -> None:
        """Append a message and announce the instance. A parked instance is rung only for what needs no user code."""
        entry_id = self.append(instance, {INTERNAL: encode(message)})
        record = self.instances[instance]
        if isinstance(message, Control):
            record.control = entry_id
        elif isinstance(message, Rewind):
            record.awaited = entry_id
        if record.parked_until is None or isinstance(message, Control):
            self.announce(instance)

    def append(self, instance: str, fields: Fields, entry_id: str = "*") -> str:
        """Append an entry to a mailbox and tell nobody. Raises `StreamExhausted`."""
        box = self.mailbox(instance)
        if box is None:
            box = self.mailboxes[instance] = Mailbox()
        return box.append(self.clock(), fields, entry_id)

    def announce(self, instance: str) -> None:
        """Ring for an instance, unless a bell rings for it already."""
        record = self.instances[instance]
        if not record.announced:
            record.announced = self.ready.append(self.clock(), {b"i": instance.encode()})

    def announce_mail(self, instance: str) -> None:
        """Ring for an instance that has mail and is not parked."""
        if self.instances[instance].parked_until is None and self.has_mail(instance):
            self.announce(instance)

    def create(self, instance: str, start: StartExecution, delay_ms: int = 0) -> None:
        """A new instance with its start message; events kept for it from before are its mail now."""
        now = self.clock()
        # The first head is the execution's id: a turn of an instance that had this id before must not fit.
        record = Instance(start.name, start.execution, start.number, now, now, head=start.execution)
        record.parent = start.parent.instance if start.parent else ""
        self.instances[instance] = record
        self.starts[instance] = encode(start)
        self.open.add(instance)
        box = self.mailbox(instance)
        if box is not None:
            box.kept.clear()
        if delay_ms > 0:
            self.park(instance, now + delay_ms)
        else:
            self.announce(instance)

    def park(self, instance: str, until: int) -> tuple[str, int]:
        """Let mail lie until then. Returns the timer that ends it."""
        self.instances[instance].parked_until = until
        member = timer_member("u", "", until, instance)
        self.timers[member] = until
        return member, until

    def erase(self, instance: str) -> None:
        """Delete all that is stored of an instance."""
        for past in self.executions.pop(instance, []):
            self.past.pop((instance, past), None)
        self.open.discard(instance)
        for kept in (self.instances, self.starts, self.mailboxes, self.histories, self.custom_statuses):
            kept.pop(instance, None)
        self.quarantines.pop(instance, None)


class MemoryHub:
    """The state of one hub, and who waits for it to change."""

    def __init__(self, name: str, partitions: int = DEFAULT_PARTITIONS, clock: Clock = real_time) -> None:
        self.name = check_hub_name(name)
        self.format = FORMAT
        self.created = False
        """Whether somebody has opened it who may create a hub."""
        self.clock = clock
        self.partitions = tuple(Partition(number, clock) for number in range(partitions))
        self.intake = Stream()
        self.dead = Stream()
        self.marks: dict[str, StreamId] = {}
        self.workers: dict[str, tuple[int, Skills]] = {}
        self.handed: dict[str, list[Entry]] = {}
        self.unknown = UnknownInstance()
        self.served: set[str] = set()
        """Task queues that foreign workers serve."""
        self._waiting: set[anyio.Event] = set()

    def of(self, instance: str) -> Partition:
        """The partition that an instance lives in."""
        return self.partitions[partition_of(instance, len(self.partitions))]

    def wake(self) -> None:
        """Something was written: blocked readers look again."""
        for event in self._waiting:
            event.set()
        self._waiting.clear()

    async def changed(self) -> None:
        """Wait until something is written. What to wait for must be looked up in the same step as this call begins."""
        event = anyio.Event()
        self._waiting.add(event)
        try:
            await event.wait()
        finally:
            self._waiting.discard(event)


_hubs: dict[str, MemoryHub] = {}


def memory_hub(name: str, partitions: int = DEFAULT_PARTITIONS, clock: Clock = real_time) -> MemoryHub:
    """The hub of that name in this process; it lives as long as the process. An existing hub keeps what it was made
    with."""
    hub = _hubs.get(name)
    if hub is None:
        hub = _hubs[name] = MemoryHub(name, partitions, clock)
    return hub


def timer_member(kind: str, execution: str, key: int | str, instance: str) -> str:
    """The member of a timer set. t: a timer of an execution (key: its seq); u: a parked or delayed instance may go on
    (key: when); r: a task goes back to its queue; c, s: a call of an activity was not closed, or not started, in time
    (key of all three: the seq of the call)."""
    return msgspec.json.encode((kind, execution, key, instance)).decode()


def read_timer_member(member: str) -> tuple[str, str, int | str, str]:
    """(kind, execution, key, instance)."""
    return msgspec.json.decode(member, type=tuple[str, str, int | str, str])
