"""What leaves a partition: messages for other instances, and dead letters.

Both go through the outbox of the partition that they leave, in the transaction that decided on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from redurable.core.delivery import DeadLetter, Outgoing
from redurable.store.letters import Letter, entries_of, read_letter

from .database import Database, Row
from .fields import read_fields, write_fields


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


def letters(db: Database, after: str, count: int) -> list[Letter]:
    """Up to `count` dead letters behind that id."""
    rows = db.execute("SELECT * FROM dead_letters WHERE id > ? ORDER BY id LIMIT ?", int(after or 0), count)
    return [_read(row) for row in rows]


def drop_letters(db: Database, ids: Sequence[str]) -> int:
    """Delete these; return how many were there."""
    return sum(len(db.execute("DELETE FROM dead_letters WHERE id = ? RETURNING id", int(one))) for one in ids)


def redrive_letters(db: Database, ids: Sequence[str]) -> list[str]:
    """Put these back into the intake, as far as they can come from there; return their ids."""
    rows = [
        row for one in dict.fromkeys(ids) for row in db.execute("SELECT * FROM dead_letters WHERE id = ?", int(one))
    ]
    redriven = entries_of(map(_read, rows))
    for _, entry in redriven:
        db.execute("INSERT INTO intake (fields) VALUES (?)", write_fields(dict(entry)))
    drop_letters(db, [letter_id for letter_id, _ in redriven])
    return [letter_id for letter_id, _ in redriven]


def _read(row: Row) -> Letter:
    return read_letter(str(row["id"]), read_fields(row["fields"]))
