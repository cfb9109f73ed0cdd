"""What comes in from outside an instance: its start, and messages for it.

Invariant: a message lies in the mailbox of an existing instance of the meant execution, or is an event that waits for
its instance; whoever puts one down announces it in the same step.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from redurable.core.codec import encode
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.foreign import INTERNAL
from redurable.core.messages import Message, RaiseEvent, Rewind, StartExecution
from redurable.store.memory.letters import outbox_fields
from redurable.store.memory.state import MemoryHub, Partition
from redurable.store.memory.streams import StreamExhausted, parse_id
from redurable.store.port import SendOutcome, StartOutcome, StartRequest
from redurable.store.unknown import UnknownInstance

UNUSABLE = "mailbox is unusable: "
UNKNOWN = "no such instance"
TOO_MANY = "no such instance, and too many events wait for it"


class Undeliverable(Struct, frozen=True):
    """A message that nobody will read, and why; `outcome` is what a sender is told."""

    outcome: SendOutcome
    reason: str


def start(hub: MemoryHub, request: StartRequest) -> StartOutcome:
    """Create an instance. A repeated request finds its own execution and changes nothing."""
    partition, instance = hub.of(request.instance), request.instance
    record = partition.instances.get(instance)
    if record is not None:
        if partition.has_begun(instance, request.message.execution):
            return StartOutcome.STARTED
        if request.on_conflict == "use-existing":
            return StartOutcome.EXISTING
        if request.on_conflict == "fail" or not partition.is_over(instance):
            return StartOutcome.REFUSED
        partition.erase(instance)
    partition.create(instance, request.message, request.delay_ms)
    return StartOutcome.STARTED


def deliver(hub: MemoryHub, outgoing: Outgoing) -> SendOutcome | Undeliverable:
    """Hand one message to its instance. Raises `StreamExhausted` when that mailbox takes no more entries."""
    partition = hub.of(outgoing.instance)
    if isinstance(outgoing.message, StartExecution):
        return _start_child(partition, outgoing, outgoing.message)
    if isinstance(outgoing.message, Rewind) and outgoing.instance not in partition.instances:
        _refuse(partition, outgoing)
    return _put(partition, outgoing.instance, outgoing.message, hub.unknown)


def _put(
    partition: Partition, instance: str, message: Message, unknown: UnknownInstance
) -> SendOutcome | Undeliverable:
    record = partition.instances.get(instance)
    if record is None:
        if isinstance(message, RaiseEvent):
            return _claim(partition, instance, message, unknown)
        return Undeliverable(SendOutcome.MISSING, UNKNOWN)
    if record.status.finished and not isinstance(message, Rewind):
        return Undeliverable(SendOutcome.FINISHED, "the instance has finished")
    if message.execution and message.execution != record.execution:
        return Undeliverable(SendOutcome.STALE, "the execution is gone")
    partition.put(instance, message)
    return SendOutcome.SENT


def _claim(
    partition: Partition, instance: str, event: RaiseEvent, unknown: UnknownInstance
) -> SendOutcome | Undeliverable:
    """An event whose instance does not exist: the hub's rule says what becomes of it."""
    if unknown.rule == "drop":
        return SendOutcome.DROPPED
    if unknown.rule == "dead-letter":
        return Undeliverable(SendOutcome.BURIED, UNKNOWN)
    return _keep(partition, instance, event, unknown)


def _keep(
    partition: Partition, instance: str, event: RaiseEvent, unknown: UnknownInstance
) -> SendOutcome | Undeliverable:
    """Let an event wait for its instance; bounded, because the instance may never come. A repetition waits already."""
    box = partition.mailbox(instance)
    if box is not None and event.id and any(known == event.id for _, known in box.kept.values()):
        return SendOutcome.KEPT
    entry_id = partition.append(instance, {INTERNAL: encode(event)})
    if len(partition.mailboxes[instance]) > unknown.most:
        partition.mailboxes[instance].delete(entry_id)
        return Undeliverable(SendOutcome.BURIED, TOO_MANY)
    partition.mailboxes[instance].kept[parse_id(entry_id)] = partition.clock() + unknown.keep_ms, event.id
    return SendOutcome.KEPT


def _start_child(partition: Partition, child: Outgoing, start: StartExecution) -> SendOutcome | Undeliverable:
    """Create the child. If its id is taken, the parent is told, in a message that leaves from the child's partition."""
    if child.instance not in partition.instances:
        partition.create(child.instance, start, start.not_before - partition.clock() if start.not_before else 0)
    elif not partition.has_begun(child.instance, start.execution):
        if child.refusal is None:
            return Undeliverable(SendOutcome.SENT, "the instance exists")
        _refuse(partition, child)
    return SendOutcome.SENT


def _refuse(partition: Partition, refused: Outgoing) -> None:
    if refused.refusal is not None:
        partition.outbox.append(partition.clock(), outbox_fields(Outgoing(*refused.refusal)))


def put_or_bury(partition: Partition, instance: str, message: Message) -> None:
    """Put an outcome down where an instance reads it; if its mailbox is unusable, it becomes a dead letter."""
    try:
        partition.put(instance, message)
    except StreamExhausted as error:
        bury(partition, DeadLetter(f"{UNUSABLE}{error}", instance, ((INTERNAL, encode(message)),)))


def bury(partition: Partition, letter: DeadLetter) -> None:
    """A dead letter leaves through the outbox of the partition in which it died, so that it is buried once."""
    partition.outbox.append(partition.clock(), outbox_fields(letter))


def send(hub: MemoryHub, messages: Sequence[Outgoing]) -> tuple[list[SendOutcome], list[str]]:
    """Deliver messages in order. Also returns the instances whose mailboxes are unusable; the others are not held up
    by them."""
    outcomes: list[SendOutcome] = []
    unusable: list[str] = []
    for outgoing in messages:
        try:
            outcome = deliver(hub, outgoing)
        except StreamExhausted:
            unusable.append(outgoing.instance)
            continue
        if isinstance(outcome, SendOutcome):
            outcomes.append(outcome)
            continue
        outcomes.append(outcome.outcome)
        if outcome.outcome is SendOutcome.BURIED:
            fields = ((INTERNAL, encode(outgoing.message)),)
            bury(hub.of(outgoing.instance), DeadLetter(outcome.reason, outgoing.instance, fields))
    return outcomes, unusable
