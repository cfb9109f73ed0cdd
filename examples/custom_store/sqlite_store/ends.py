"""The ends of attempts: an outcome in a mailbox, or in its place its turn, if that was decided ahead."""

from __future__ import annotations

from typing import NamedTuple

from redurable.core.attempts import Sequel
from redurable.core.delivery import Outcome, Receipt
from redurable.store.port import DueTimer, TaskEnd

from .commits import commit
from .database import Database
from .mailboxes import find
from .peek_lock import TASKS
from .tasks import put_down

MADE_TRUE = (Outcome.ACCEPTED, Outcome.ALREADY_APPLIED)


class Ended(NamedTuple):
    """`accepted` is False when the end came too late; `receipt` answers its turn; `timers` were written."""

    accepted: bool
    receipt: Receipt | None
    timers: list[DueTimer]

    @property
    def with_turn(self) -> bool:
        """True when its turn was made true."""
        return self.receipt is not None and self.receipt.outcome in MADE_TRUE


def end_attempt(db: Database, end: TaskEnd) -> Ended:
    """End an attempt."""
    accepted = TASKS.acknowledge(db, end.lease.id)
    ended = Ended(accepted, *_take_turn(db, end, accepted))
    if accepted and not ended.with_turn:
        timer = put_down(db, end.lease.task, Sequel(end.message, end.retry, end.delay_ms))
        return ended if timer is None else ended._replace(timers=[timer])
    return ended


def _take_turn(db: Database, end: TaskEnd, accepted: bool) -> tuple[Receipt | None, list[DueTimer]]:
    turn = end.turn
    if turn is None:
        return None, []
    record = find(db, turn.entry.instance)
    if accepted or (record is not None and record["head"] == turn.head):
        return commit(db, turn)
    return Receipt(Outcome.FENCED), []
