"""The ends of attempts: an outcome in a mailbox, or in its place the turn that it leads to, if that was decided ahead.

Invariant: an end leaves its outcome or its turn, never both, and never neither.
"""

from __future__ import annotations

from typing import NamedTuple

from redurable.core.attempts import Sequel
from redurable.core.delivery import Outcome, Receipt
from redurable.store.memory.state import MemoryHub
from redurable.store.memory.tasks import acknowledge, put_down
from redurable.store.memory.turns import commit
from redurable.store.port import DueTimer, TaskEnd

_MADE_TRUE = (Outcome.ACCEPTED, Outcome.ALREADY_APPLIED)


class Ended(NamedTuple):
    """`accepted` is False when the end came too late; `receipt` answers its turn; `timers` were written."""

    accepted: bool
    receipt: Receipt | None
    timers: list[DueTimer]

    @property
    def with_turn(self) -> bool:
        """True when its turn was made true."""
        return self.receipt is not None and self.receipt.outcome in _MADE_TRUE


def end_attempt(hub: MemoryHub, end: TaskEnd) -> Ended:
    """End an attempt."""
    accepted = acknowledge(hub, end.lease)
    ended = Ended(accepted, *_take_turn(hub, end, accepted))
    if accepted and not ended.with_turn:
        partition = hub.partitions[end.lease.partition]
        timer = put_down(partition, end.lease.task, Sequel(end.message, end.retry, end.delay_ms))
        return ended if timer is None else ended._replace(timers=[timer])
    return ended


def _take_turn(hub: MemoryHub, end: TaskEnd, accepted: bool) -> tuple[Receipt | None, list[DueTimer]]:
    turn = end.turn
    if turn is None:
        return None, []
    record = hub.partitions[turn.entry.partition].instances.get(turn.entry.instance)
    if accepted or (record is not None and record.head == turn.head):
        return commit(hub, turn)
    return Receipt(Outcome.FENCED), []
