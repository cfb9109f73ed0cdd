"""What leaves a partition: messages for other instances, and dead letters.

Both go through the outbox of the partition that they leave, in the transaction that decided on them.
"""

from __future__ import annotations

import msgspec

from redurable.core.delivery import DeadLetter, Outgoing

from .database import Database, Row
from .fields import write_fields


def push_outbox(db: Database, partition: int, item: Outgoing | DeadLetter) -> None:
    """Leave something to be relayed."""
    db.execute(
        "INSERT INTO outbox (partition, dead, body) VALUES (?, ?, ?)",
        *(partition, isinstance(item, DeadLetter), msgspec.json.encode(item)),
    )


def read_outbox(row: Row) -> Outgoing | DeadLetter:
    """The opposite of `push_outbox`."""
    return msgspec.json.decode(row["body"], type=DeadLetter if row["dead"] else Outgoing)


def bury(db: Database, letter: DeadLetter) -> None:
    """Write a dead letter: `reason`, `instance`, `at` (ms), `position` in the intake, then its original fields."""
    fields = {b"reason": letter.reason.encode(), b"instance": letter.instance.encode(), b"at": b"%d" % db.now}
    if letter.position:
        fields[b"position"] = letter.position.encode()
    fields |= {name: value for name, value in letter.fields if name not in fields}
    db.execute("INSERT INTO dead_letters (fields) VALUES (?)", write_fields(fields))
