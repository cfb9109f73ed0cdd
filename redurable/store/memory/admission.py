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
from redurable.core.messages import Message, RaiseEvent, StartExecution
from redurable.store.memory.letters import outbox_fields
from redurable.store.memory.state import KEPT_MS, MOST_KEPT, MemoryHub, Partition
from redurable.store.memory.streams import StreamExhausted
from redurable.store.port import SendOutcome, StartOutcome, StartRequest

UNUSABLE = "mailbox is unusable: "


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
        if request.on_conflict == "fail" or not record.status.finished:
            return StartOutcome.REFUSED
        partition.erase(instance)
    partition.create(instance, request.message, request.delay_ms)
    return StartOutcome.STARTED


def deliver(hub: MemoryHub, outgoing: Outgoing) -> SendOutcome | Undeliverable:
    """Hand one message to its instance. Raises `StreamExhausted` when that mailbox takes no more entries."""
    partition = hub.of(outgoing.instance)
    if isinstance(outgoing.message, StartExecution):
        return _start_child(partition, outgoing, outgoing.message)
    return _put(partition, outgoing.instance, outgoing.message)


def _put(partition: Partition, instance: str, message: Message) -> SendOutcome | Undeliverable:
    record = partition.instances.get(instance)
    if record is None:
        if isinstance(message, RaiseEvent) and _keep(partition, instance, message):
            return SendOutcome.KEPT
        return Undeliverable(SendOutcome.MISSING, "no such instance")
    if record.status.finished:
        return Undeliverable(SendOutcome.FINISHED, "the instance has finished")
    if message.execution and message.execution != record.execution:
        return Undeliverable(SendOutcome.STALE, "the execution is gone")
    partition.put(instance, message)
    return SendOutcome.SENT


def _keep(partition: Partition, instance: str, event: RaiseEvent) -> bool:
    """Let an event wait for an instance that does not exist yet; bounded, because the instance may never come."""
    box = partition.mailbox(instance)
    if box is not None and len(box) >= MOST_KEPT:
        return False
    partition.append(instance, {INTERNAL: encode(event)})
    partition.mailboxes[instance].expires = partition.clock() + KEPT_MS
    return True


def _start_child(partition: Partition, child: Outgoing, start: StartExecution) -> SendOutcome | Undeliverable:
    """Create the child. If its id is taken, the parent is told, in a message that leaves from the child's partition."""
    if child.instance not in partition.instances:
        partition.create(child.instance, start, start.not_before - partition.clock() if start.not_before else 0)
    elif not partition.has_begun(child.instance, start.execution):
        if child.refusal is None:
            return Undeliverable(SendOutcome.SENT, "the instance exists")
        parent, message = child.refusal
        partition.outbox.append(partition.clock(), outbox_fields(Outgoing(parent, message)))
    return SendOutcome.SENT


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
        outcomes.append(outcome.outcome if isinstance(outcome, Undeliverable) else outcome)
    return outcomes, unusable
