"""The way of a turn: receive a ready entry, check its instance out, commit.

Fence: a commit is a compare-and-set of the instance's unique `head`. It acknowledges only after the fence, and clears
the announce flag only if the flag is empty or is the entry that it holds: so mail is never left without a bell.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from redurable.core.codec import Unreadable, decode_event, decode_start, encode
from redurable.core.delivery import (
    DeadLetter,
    Delivery,
    Entry,
    Kept,
    Outcome,
    Park,
    Position,
    Quarantine,
    Receipt,
    TurnCommit,
)
from redurable.core.foreign import read_mail
from redurable.core.messages import Mail, StartExecution
from redurable.core.values import RuntimeStatus
from redurable.store.memory.admission import bury
from redurable.store.memory.letters import outbox_fields
from redurable.store.memory.state import NEVER, Instance, MemoryHub, Partition, timer_member
from redurable.store.memory.streams import ZERO, Fields, Item, parse_id
from redurable.store.memory.tasks import close_call, limit_call, push_task, set_timer, tell_canceled
from redurable.store.port import DueTimer

MAILS = 100
"""The most messages of one turn."""
FEED_LENGTH = 1000


def receive(hub: MemoryHub, consumer: str, partitions: Sequence[int], count: int) -> list[Entry]:
    """Take up to `count` ready entries."""
    entries: list[Entry] = []
    for number in partitions:
        partition = hub.partitions[number]
        taken = partition.ready.take(partition.clock(), consumer, count - len(entries))
        entries += read_ready(partition, taken)
    return entries


def read_ready(partition: Partition, items: Sequence[Item]) -> list[Entry]:
    """Ready entries as values; what a foreign client wrote there rings for nobody and goes to the dead letters."""
    entries: list[Entry] = []
    for entry_id, fields in items:
        instance = _instance_of(fields)
        if instance is not None:
            entries.append(Entry(partition.number, entry_id, instance, partition.ready.deliveries(entry_id)))
        else:
            partition.ready.acknowledge(entry_id)
            bury(partition, DeadLetter("a ready entry that names no instance", "", tuple(fields.items())))
    return entries


def _instance_of(fields: Fields) -> str | None:
    """The instance that a ready entry names in its first field; None when it names none."""
    try:
        return fields[b"i"].decode() if next(iter(fields), None) == b"i" else None
    except UnicodeDecodeError:
        return None


def checkout(hub: MemoryHub, entry: Entry, known: Position | None, max_payload: int) -> Delivery:
    """What a turn needs, with foreign mail of at most so many bytes of payload. Changes nothing: it works on a server
    that takes no more writes."""
    partition, instance = hub.partitions[entry.partition], entry.instance
    record = partition.instances.get(instance)
    if record is None:
        return Delivery(entry, partition.clock())
    delivery = Delivery(
        entry,
        partition.clock(),
        head=record.head,
        status=record.status,
        name=record.name,
        execution=record.execution,
        announced=record.announced,
        parks=record.parks,
        parked_until=record.parked_until or 0,
        unread=record.unread,
        heard=record.control,
        held=record.held,
    )
    history = partition.histories.get(instance, [])
    try:
        base, mails = _base(record, history, known), _read_mails(partition, instance, max_payload)
        return msgspec.structs.replace(
            delivery,
            start=_read_start(partition, instance),
            mails=mails,
            control=_read_control(partition, instance, record.control) if len(mails) == MAILS else None,
            base=base,
            events=tuple(decode_event(body) for body in history[base:]),
        )
    except Unreadable as error:
        return msgspec.structs.replace(delivery, unreadable=str(error))


def _base(record: Instance, history: Sequence[bytes], known: Position | None) -> int:
    """How much of the history the caller's position covers: all of it or nothing. A length alone proves nothing after
    a purge or a failover, so the event at the position must carry the commit that the caller saw there."""
    if known is None or known.execution != record.execution or not 0 < known.length <= len(history):
        return 0
    return known.length if decode_event(history[known.length - 1]).commit == known.commit else 0


def _read_start(partition: Partition, instance: str) -> StartExecution | None:
    body = partition.starts.get(instance)
    return None if body is None else decode_start(body)


def _read_mails(partition: Partition, instance: str, max_payload: int) -> tuple[Mail, ...]:
    box = partition.mailbox(instance)
    if box is None:
        return ()
    return tuple(Mail(entry_id, read_mail(fields, max_payload)) for entry_id, fields in box.after(ZERO, MAILS))


def _read_control(partition: Partition, instance: str, control: str) -> Mail | None:
    """The newest control message, when it lies behind the page of mails: it needs no turn of those before it."""
    box = partition.mailboxes[instance]
    if not control or parse_id(control) not in list(box.entries)[MAILS:]:
        return None
    return Mail(control, read_mail(box.entries[parse_id(control)]))


def commit(hub: MemoryHub, turn: TurnCommit) -> tuple[Receipt, list[DueTimer]]:
    """Make one turn true, or nothing of it. Also returns the timers that it wrote."""
    partition, entry = hub.partitions[turn.entry.partition], turn.entry
    record = partition.instances.get(entry.instance)
    if turn.is_ahead and not _is_quiet(partition, turn):
        return Receipt(Outcome.FENCED), []
    if record is None:
        # Purged meanwhile: nothing can come of this turn, and nobody else need hear of it.
        partition.ready.acknowledge(entry.id)
        return Receipt(Outcome.ACCEPTED), []
    if record.head == turn.head:
        partition.ready.acknowledge(entry.id)
        return Receipt(Outcome.ALREADY_APPLIED), []
    if record.head != turn.expected:
        return Receipt(Outcome.FENCED), []
    partition.ready.acknowledge(entry.id)
    if turn.park is not None:
        return Receipt(Outcome.ACCEPTED), _park(partition, record, turn, turn.park)
    if turn.is_release:
        _release(partition, record, turn)
        return Receipt(Outcome.ACCEPTED), []
    return Receipt(Outcome.ACCEPTED), _write(partition, record, turn)


def _is_quiet(partition: Partition, turn: TurnCommit) -> bool:
    """Whether nothing came before a turn that was decided ahead, unless it is applied already."""
    instance = turn.entry.instance
    record = partition.instances.get(instance)
    if record is None:
        return False
    return record.head == turn.head or not (
        record.announced or record.parked_until is not None or partition.mailbox(instance)
    )


def _release(partition: Partition, record: Instance, turn: TurnCommit) -> None:
    if record.announced not in ("", turn.entry.id):
        return  # Another entry rings for the instance: this one meant nothing, and its holder decides nothing.
    record.head = turn.head
    _ring_anew(partition, record, turn.entry)
    _ring_control(partition, record, turn)


def _ring_control(partition: Partition, record: Instance, turn: TurnCommit) -> None:
    """A control message that came while the turn ran is not for the end of the wait."""
    if turn.heard is not None and record.control not in ("", turn.heard):
        partition.announce(turn.entry.instance)


def _ring_anew(partition: Partition, record: Instance, entry: Entry) -> None:
    """The entry is acknowledged; what came in while the turn ran gets a new bell."""
    if record.announced in ("", entry.id):
        record.announced = ""
        partition.announce_mail(entry.instance)


def _park(partition: Partition, record: Instance, turn: TurnCommit, park: Park) -> list[DueTimer]:
    now, instance = partition.clock(), turn.entry.instance
    record.head = turn.head
    record.announced = ""  # Whatever rings, the next one who may be heard must ring anew.
    record.parks += 1
    record.updated = now
    before = partition.quarantines.get(instance)
    since = before.since if before is not None else now
    partition.quarantines[instance] = Quarantine(since, park.reason, park.detail, park.difference)
    record.held = park.retry_ms is None
    timers: list[DueTimer] = []
    if park.retry_ms is None:
        record.parked_until = NEVER
    else:
        member, due = partition.park(instance, now + park.retry_ms)
        timers.append(DueTimer(due, partition.number, member))
    _ring_control(partition, record, turn)
    return timers


def _write(partition: Partition, record: Instance, turn: TurnCommit) -> list[DueTimer]:
    now, instance = partition.clock(), turn.entry.instance
    record.head = turn.head
    record.updated = now
    record.parked_until, record.parks, record.held, record.control = None, 0, False, ""
    if turn.unread is not None:
        record.unread = turn.unread
    partition.quarantines.pop(instance, None)
    _consume(partition, turn)
    if turn.events:
        partition.histories.setdefault(instance, []).extend(encode(event) for event in turn.events)
    timers = _send_out(partition, turn)
    if turn.custom_status is not None:
        partition.custom_statuses[instance] = bytes(turn.custom_status)
    if turn.next is not None:
        _begin_next(partition, record, instance, turn.next, turn.kept)
    elif turn.status is not None:
        record.status = turn.status
        if turn.status.finished:
            record.ended = now
            partition.open.discard(instance)
            _feed(partition, instance, record.execution, turn.status)
    _ring_anew(partition, record, turn.entry)
    return timers


def _consume(partition: Partition, turn: TurnCommit) -> None:
    """Delete what the turn read: a prefix, never so many entries, because others may have deleted some."""
    instance = turn.entry.instance
    box = partition.mailbox(instance)
    if turn.consumed and box is not None:
        box.delete_until(parse_id(turn.consumed))
        if not box.entries:
            del partition.mailboxes[instance]
    if turn.start_consumed:
        partition.starts.pop(instance, None)


def _send_out(partition: Partition, turn: TurnCommit) -> list[DueTimer]:
    """Tasks, timers, and what leaves through the outbox."""
    now, instance = partition.clock(), turn.entry.instance
    timers: list[DueTimer] = []
    for task in turn.tasks:
        timers += push_task(partition, task)
        timers += limit_call(partition, task)
    for item in (*turn.outbox, *turn.dead):
        partition.outbox.append(now, outbox_fields(item))
    for timer in turn.timers:
        timers.append(set_timer(partition, timer_member("t", turn.execution, timer.seq, instance), timer.due))
    for seq in turn.canceled_timers:
        partition.timers.pop(timer_member("t", turn.execution, seq, instance), None)
    for seq in turn.closed_calls:
        close_call(partition, turn.execution, seq, instance)
    if turn.canceled_calls:
        tell_canceled(partition, instance, turn.execution, turn.canceled_calls)
    return timers


def _begin_next(
    partition: Partition, record: Instance, instance: str, start: StartExecution, kept: Kept | None
) -> None:
    """The history goes to the archive, the next execution finds its start slot filled. It has the beginning of that
    history when the instance was rewound or reset."""
    _feed(partition, instance, record.execution, RuntimeStatus.CONTINUED_AS_NEW)
    partition.executions.setdefault(instance, []).append(record.execution)
    past = partition.past[instance, record.execution] = partition.histories.pop(instance, [])
    if kept is not None:
        partition.histories[instance] = [encode(kept.first), *past[1 : kept.count]]
    partition.open.add(instance)
    partition.starts[instance] = encode(start)
    record.execution, record.number, record.name = start.execution, start.number, start.name
    record.status = RuntimeStatus.RUNNING


def _feed(partition: Partition, instance: str, execution: str, status: RuntimeStatus) -> None:
    fields = {b"i": instance.encode(), b"x": execution.encode(), b"s": status.value.encode()}
    partition.feed.append(partition.clock(), fields)
    partition.feed.trim(FEED_LENGTH)


def hand_back(hub: MemoryHub, consumer: str, entry: Entry) -> None:
    """Give a ready entry up, so that the next receiver gets its instance at once."""
    partition = hub.partitions[entry.partition]
    if not partition.ready.is_held_by(consumer, entry.id):
        return
    partition.ready.acknowledge(entry.id)
    record = partition.instances.get(entry.instance)
    if record is not None and record.announced == entry.id:
        record.announced = ""
        partition.announce(entry.instance)
