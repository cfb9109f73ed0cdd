"""Messages between partitions, and from the hub's intake.

A source is read as a prefix and deleted after it was delivered. Each destination keeps one mark per source, the last id
delivered from there, in the same step as the delivery: so any number of callers deliver each entry once, in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from redurable.core.codec import encode
from redurable.core.completion import LATE, Completion
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.foreign import INTERNAL, read_intake
from redurable.core.messages import Malformed, RaiseEvent, StartExecution
from redurable.core.sizes import Pairs, brief
from redurable.store.memory.admission import UNUSABLE, Undeliverable, bury, deliver
from redurable.store.memory.letters import dead_fields, read_outbox
from redurable.store.memory.state import MemoryHub
from redurable.store.memory.streams import ZERO, Fields, Stream, StreamExhausted, StreamId, parse_id
from redurable.store.memory.tokens import settle
from redurable.store.port import SendOutcome
from redurable.store.routing import Grievance, Relayed, Routed, grievance_of
from redurable.store.unknown import Unclaimed

INTAKE = "in"


class Source(Struct, frozen=True):
    """An entry on its way: where it came from, and its id there."""

    name: str
    id: str


def relay(hub: MemoryHub, number: int, count: int) -> Relayed:
    """Deliver up to `count` entries of a partition's outbox."""
    outbox, unclaimed = hub.partitions[number].outbox, Counter[SendOutcome]()
    delivered = list(outbox.after(ZERO, count))
    for entry_id, fields in delivered:
        source, item = Source(f"p{number}", entry_id), read_outbox(fields)
        if isinstance(item, DeadLetter):
            _to_dead(hub, source, item)
        else:
            _to_instance(hub, source, item, unclaimed)
    _delete(outbox, delivered)
    return Relayed(len(delivered), count_unclaimed(unclaimed))


def route(hub: MemoryHub, count: int, max_payload: int) -> Routed:
    """Deliver up to `count` entries of the intake, of at most so many bytes of payload each."""
    entries = list(hub.intake.after(ZERO, count))
    dead: list[Grievance] = []
    unclaimed = Counter[SendOutcome]()
    for entry_id, fields in entries:
        source, item = Source(INTAKE, entry_id), read_intake(entry_id, fields, max_payload)
        if isinstance(item, Malformed):
            instance = fields.get(b"instance", b"").decode(errors="replace")
            _to_dead(hub, source, DeadLetter(item.reason, instance, item.fields, source.id))
            dead.append("malformed")
            continue
        original, _ = brief(fields.items(), max_payload)
        if isinstance(item, Completion):
            grievance = _to_attempt(hub, source, item, original)
        else:
            grievance = _to_instance(hub, source, Outgoing(item.instance, item.message), unclaimed, original)
        if grievance is not None:
            dead.append(grievance)
    _delete(hub.intake, entries)
    delivered = len(entries) - len(dead) - unclaimed[SendOutcome.DROPPED]
    return Routed(delivered, tuple(sorted(dead)), count_unclaimed(unclaimed))


def count_unclaimed(outcomes: Counter[SendOutcome]) -> Unclaimed:
    """How many of these came for nobody."""
    return Unclaimed(outcomes[SendOutcome.KEPT], outcomes[SendOutcome.DROPPED], outcomes[SendOutcome.BURIED])


def _delete(stream: Stream, entries: Iterable[tuple[str, Fields]]) -> None:
    for entry_id, _ in entries:
        stream.delete(entry_id)


def _passes(marks: dict[str, StreamId], source: Source) -> bool:
    """Move the mark; False when this entry was delivered before."""
    entry_id = parse_id(source.id)
    if entry_id <= marks.get(source.name, ZERO):
        return False
    marks[source.name] = entry_id
    return True


def _to_dead(hub: MemoryHub, source: Source, letter: DeadLetter) -> None:
    if _passes(hub.marks, source):
        now = hub.clock()
        hub.dead.append(now, dead_fields(letter, now))


def _to_instance(
    hub: MemoryHub, source: Source, item: Outgoing, unclaimed: Counter[SendOutcome], original: Pairs = ()
) -> Grievance | None:
    """Deliver one message; why it became a dead letter, if it did. `original` are the fields that it came in, if they
    were others than its body."""
    partition = hub.of(item.instance)
    if not _passes(partition.marks, source):
        return None
    try:
        outcome = deliver(hub, item)
    except StreamExhausted as error:
        reason, grievance = f"{UNUSABLE}{error}", "unusable"
    else:
        unclaimed[outcome if isinstance(outcome, SendOutcome) else outcome.outcome] += 1
        if isinstance(outcome, SendOutcome) or (source.name != INTAKE and _is_only_late(item, outcome)):
            return None
        reason, grievance = outcome.reason, grievance_of(outcome.outcome)
    fields = original or ((INTERNAL, encode(item.message)),)
    position = source.id if source.name == INTAKE else ""
    bury(partition, DeadLetter(reason, item.instance, fields, position))
    return grievance


def _to_attempt(hub: MemoryHub, source: Source, said: Completion, original: Pairs) -> Grievance | None:
    """Do what is said of an attempt by token; why it became a dead letter, if it did."""
    instance = said.token.instance
    partition = hub.of(instance)
    if not _passes(partition.marks, source) or settle(hub, said):
        return None
    bury(partition, DeadLetter(LATE, instance, original, source.id))
    return "late"


def _is_only_late(item: Outgoing, outcome: Undeliverable) -> bool:
    """What one instance sends to another may come too late for good reasons. An event or a start must not vanish."""
    if isinstance(item.message, RaiseEvent):
        return outcome.outcome is SendOutcome.STALE
    return not isinstance(item.message, StartExecution)
