"""What comes in from outside an instance: its start, and messages for it.

Invariant: a message lies in the mailbox of an existing instance of the meant execution, or is an event that waits for
its instance; whoever puts one down announces it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from redurable.core.codec import encode
from redurable.core.delivery import Outgoing
from redurable.core.foreign import INTERNAL
from redurable.core.messages import Message, RaiseEvent, StartExecution
from redurable.store.port import SendOutcome, StartOutcome, StartRequest

from .database import Database
from .letters import push_outbox
from .mailboxes import MailboxExhausted, append, create, erase, find, finished, forget_expired, has_begun, put

KEPT_MS = 7 * 24 * 3600 * 1000
"""How long events wait for an instance that does not exist yet."""
MOST_KEPT = 1000
"""How many of them."""


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
        if request.on_conflict == "fail" or not finished(record):
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
        outcomes.append(outcome.outcome if isinstance(outcome, Undeliverable) else outcome)
    return outcomes, unusable


def deliver(db: Database, outgoing: Outgoing) -> SendOutcome | Undeliverable:
    """Hand one message to its instance. Raises `MailboxExhausted` when that mailbox takes no more entries."""
    if isinstance(outgoing.message, StartExecution):
        return _start_child(db, outgoing, outgoing.message)
    return _put(db, outgoing.instance, outgoing.message)


def _put(db: Database, instance: str, message: Message) -> SendOutcome | Undeliverable:
    record = find(db, instance)
    if record is None:
        if isinstance(message, RaiseEvent) and _keep(db, instance, message):
            return SendOutcome.KEPT
        return Undeliverable(SendOutcome.MISSING, "no such instance")
    if finished(record):
        return Undeliverable(SendOutcome.FINISHED, "the instance has finished")
    if message.execution and message.execution != record["execution"]:
        return Undeliverable(SendOutcome.STALE, "the execution is gone")
    put(db, record, message)
    return SendOutcome.SENT


def _keep(db: Database, instance: str, event: RaiseEvent) -> bool:
    """Let an event wait for an instance that does not exist yet; bounded, because the instance may never come."""
    forget_expired(db)
    if db.one("SELECT count(*) AS n FROM mailbox WHERE instance = ?", instance)["n"] >= MOST_KEPT:
        return False
    append(db, instance, {INTERNAL: encode(event)}, expires=db.now + KEPT_MS)
    return True


def _start_child(db: Database, child: Outgoing, start: StartExecution) -> SendOutcome | Undeliverable:
    """Create the child. If its id is taken, the parent is told, in a message that leaves from the child's partition."""
    record = find(db, child.instance)
    if record is None:
        create(db, child.instance, start, start.not_before - db.now if start.not_before else 0)
    elif not has_begun(db, record, start.execution):
        if child.refusal is None:
            return Undeliverable(SendOutcome.SENT, "the instance exists")
        parent, message = child.refusal
        push_outbox(db, record["partition"], Outgoing(parent, message))
    return SendOutcome.SENT
