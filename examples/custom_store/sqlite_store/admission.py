"""What comes in from outside an instance: its start, and messages for it.

Invariant: a message lies in the mailbox of an existing instance of the meant execution, or is an event that waits for
its instance; whoever puts one down announces it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, json

from redurable.core.codec import encode
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.foreign import INTERNAL
from redurable.core.messages import Message, RaiseEvent, Rewind, StartExecution
from redurable.store.port import SendOutcome, StartOutcome, StartRequest
from redurable.store.unknown import UnknownInstance

from .database import Database
from .letters import push_outbox
from .mailboxes import MailboxExhausted, append, create, erase, find, finished, forget_expired, has_begun, is_over, put

UNKNOWN = "no such instance"
TOO_MANY = "no such instance, and too many events wait for it"


class Undeliverable(Struct, frozen=True):
    """A message that nobody will read, and why; `outcome` is what a sender is told."""

    outcome: SendOutcome
    reason: str


def start(db: Database, request: StartRequest) -> StartOutcome:
    """Create an instance. A repeated request finds its own execution and changes nothing."""
    record = find(db, request.instance)
    if record is not None:
        if has_begun(db, record, request.message.execution):
            return StartOutcome.STARTED
        if request.on_conflict == "use-existing":
            return StartOutcome.EXISTING
        if request.on_conflict == "fail" or not is_over(db, record):
            return StartOutcome.REFUSED
        erase(db, request.instance)
    create(db, request.instance, request.message, request.delay_ms)
    return StartOutcome.STARTED


def send(db: Database, messages: Sequence[Outgoing]) -> tuple[list[SendOutcome], list[str]]:
    """Deliver messages in order. Also returns the instances whose mailboxes are unusable; they hold up no others."""
    outcomes: list[SendOutcome] = []
    unusable: list[str] = []
    for outgoing in messages:
        try:
            outcome = deliver(db, outgoing)
        except MailboxExhausted:
            unusable.append(outgoing.instance)
            continue
        if isinstance(outcome, SendOutcome):
            outcomes.append(outcome)
            continue
        outcomes.append(outcome.outcome)
        if outcome.outcome is SendOutcome.BURIED:
            letter = DeadLetter(outcome.reason, outgoing.instance, ((INTERNAL, encode(outgoing.message)),))
            push_outbox(db, db.partition_of(outgoing.instance), letter)
    return outcomes, unusable


def deliver(db: Database, outgoing: Outgoing) -> SendOutcome | Undeliverable:
    """Hand one message to its instance. Raises `MailboxExhausted` when that mailbox takes no more entries."""
    if isinstance(outgoing.message, StartExecution):
        return _start_child(db, outgoing, outgoing.message)
    if isinstance(outgoing.message, Rewind) and find(db, outgoing.instance) is None:
        _refuse(db, outgoing)
    return _put(db, outgoing.instance, outgoing.message)


def _put(db: Database, instance: str, message: Message) -> SendOutcome | Undeliverable:
    record = find(db, instance)
    if record is None:
        if isinstance(message, RaiseEvent):
            return _claim(db, instance, message)
        return Undeliverable(SendOutcome.MISSING, UNKNOWN)
    if finished(record) and not isinstance(message, Rewind):
        return Undeliverable(SendOutcome.FINISHED, "the instance has finished")
    if message.execution and message.execution != record["execution"]:
        return Undeliverable(SendOutcome.STALE, "the execution is gone")
    put(db, record, message)
    return SendOutcome.SENT


def set_unknown(db: Database, rule: UnknownInstance) -> None:
    """Write the rule for events of instances that do not exist."""
    db.execute("UPDATE hub SET unknown = ?", json.encode(rule).decode())


def _claim(db: Database, instance: str, event: RaiseEvent) -> SendOutcome | Undeliverable:
    """An event whose instance does not exist: the hub's rule says what becomes of it."""
    unknown = json.decode(db.one("SELECT unknown FROM hub")["unknown"], type=UnknownInstance)
    if unknown.rule == "drop":
        return SendOutcome.DROPPED
    if unknown.rule == "dead-letter":
        return Undeliverable(SendOutcome.BURIED, UNKNOWN)
    return _keep(db, instance, event, unknown)


def _keep(db: Database, instance: str, event: RaiseEvent, unknown: UnknownInstance) -> SendOutcome | Undeliverable:
    """Let an event wait for its instance; bounded, because the instance may never come. A repetition waits already."""
    forget_expired(db)
    known = "SELECT 1 FROM mailbox WHERE instance = ? AND event_id = ?"
    if event.id and db.first(known, instance, event.id) is not None:
        return SendOutcome.KEPT
    if db.one("SELECT count(*) AS n FROM mailbox WHERE instance = ?", instance)["n"] >= unknown.most:
        return Undeliverable(SendOutcome.BURIED, TOO_MANY)
    append(db, instance, {INTERNAL: encode(event)}, expires=db.now + unknown.keep_ms, event_id=event.id or None)
    return SendOutcome.KEPT


def _start_child(db: Database, child: Outgoing, start: StartExecution) -> SendOutcome | Undeliverable:
    """Create the child. If its id is taken, the parent is told, in a message that leaves from the child's partition."""
    record = find(db, child.instance)
    if record is None:
        create(db, child.instance, start, start.not_before - db.now if start.not_before else 0)
    elif not has_begun(db, record, start.execution):
        if child.refusal is None:
            return Undeliverable(SendOutcome.SENT, "the instance exists")
        _refuse(db, child)
    return SendOutcome.SENT


def _refuse(db: Database, refused: Outgoing) -> None:
    if refused.refusal is not None:
        push_outbox(db, db.partition_of(refused.instance), Outgoing(*refused.refusal))
