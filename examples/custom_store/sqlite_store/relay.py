"""Messages between partitions, and from the hub's intake.

A source is read as a prefix, delivered and deleted in one transaction: so any number of callers deliver each entry once
and in order. A store whose partitions cannot share a transaction needs a watermark per source at every destination.
"""

from __future__ import annotations

from collections import Counter

from redurable.core.codec import encode
from redurable.core.completion import LATE, Completion
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.foreign import INTERNAL, read_intake
from redurable.core.messages import Malformed, RaiseEvent, StartExecution
from redurable.store.port import SendOutcome
from redurable.store.routing import Grievance, Relayed, Routed, grievance_of
from redurable.store.unknown import Unclaimed

from .admission import Undeliverable, deliver
from .database import Database
from .fields import Fields, read_fields
from .letters import bury, push_outbox, read_outbox
from .mailboxes import UNUSABLE, MailboxExhausted
from .tokens import settle


def relay(db: Database, partition: int, count: int) -> Relayed:
    """Deliver up to `count` entries of a partition's outbox."""
    outcomes = Counter[SendOutcome]()
    rows = db.execute("SELECT * FROM outbox WHERE partition = ? ORDER BY id LIMIT ?", partition, count)
    for row in rows:
        item = read_outbox(row)
        db.execute("DELETE FROM outbox WHERE id = ?", row["id"])
        if isinstance(item, DeadLetter):
            bury(db, item)
            continue
        failed = _deliver(db, item, outcomes)
        if failed is not None and not _is_only_late(item, failed):
            _give_up(db, item, failed.reason, {INTERNAL: encode(item.message)})
    return Relayed(len(rows), _unclaimed(outcomes))


def route(db: Database, hub: str, count: int) -> Routed | None:
    """Deliver up to `count` entries of the intake. None when it is empty."""
    rows = db.execute("SELECT * FROM intake ORDER BY id LIMIT ?", count)
    dead: list[Grievance] = []
    outcomes = Counter[SendOutcome]()
    for row in rows:
        db.execute("DELETE FROM intake WHERE id = ?", row["id"])
        grievance = _route(db, hub, str(row["id"]), read_fields(row["fields"]), outcomes)
        if grievance is not None:
            dead.append(grievance)
    delivered = len(rows) - len(dead) - outcomes[SendOutcome.DROPPED]
    return Routed(delivered, tuple(sorted(dead)), _unclaimed(outcomes)) if rows else None


def _unclaimed(outcomes: Counter[SendOutcome]) -> Unclaimed:
    return Unclaimed(outcomes[SendOutcome.KEPT], outcomes[SendOutcome.DROPPED], outcomes[SendOutcome.BURIED])


def _route(db: Database, hub: str, entry_id: str, fields: Fields, outcomes: Counter[SendOutcome]) -> Grievance | None:
    """Deliver one entry of the intake; why it became a dead letter, if it did."""
    item = read_intake(entry_id, fields)
    if isinstance(item, Malformed):
        instance = fields.get(b"instance", b"").decode(errors="replace")
        bury(db, DeadLetter(item.reason, instance, item.fields, entry_id))
        return "malformed"
    if isinstance(item, Completion):
        if settle(db, hub, item):
            return None
        instance = item.token.instance
        push_outbox(db, db.partition_of(instance), DeadLetter(LATE, instance, tuple(fields.items()), entry_id))
        return "late"
    outgoing = Outgoing(item.instance, item.message)
    failed = _deliver(db, outgoing, outcomes)
    if failed is None:
        return None
    _give_up(db, outgoing, failed.reason, fields, entry_id)
    return "unusable" if failed.reason.startswith(UNUSABLE) else grievance_of(failed.outcome)


def _deliver(db: Database, item: Outgoing, outcomes: Counter[SendOutcome]) -> Undeliverable | None:
    """Deliver one message, and count what became of it. What comes back went nowhere."""
    try:
        outcome = deliver(db, item)
    except MailboxExhausted as error:
        # That somebody ruined the mailbox is no fault of the message, not even of one that is only late.
        return Undeliverable(SendOutcome.SENT, f"{UNUSABLE}{error}")
    outcomes[outcome.outcome if isinstance(outcome, Undeliverable) else outcome] += 1
    return outcome if isinstance(outcome, Undeliverable) else None


def _is_only_late(item: Outgoing, failed: Undeliverable) -> bool:
    """What one instance sends to another may come too late for good reasons. An event or a start must not vanish."""
    if isinstance(item.message, RaiseEvent):
        return failed.outcome is SendOutcome.STALE
    return failed.outcome is not SendOutcome.SENT and not isinstance(item.message, StartExecution)


def _give_up(db: Database, item: Outgoing, reason: str, fields: Fields, position: str = "") -> None:
    letter = DeadLetter(reason, item.instance, tuple(fields.items()), position)
    push_outbox(db, db.partition_of(item.instance), letter)
