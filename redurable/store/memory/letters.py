"""Outbox entries: messages for other instances and dead letters, in the form in which they lie in a stream."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from redurable.core.codec import decode_message, decode_start, encode
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.messages import StartExecution, SubOrchestrationFailure
from redurable.store.letters import Letter, entries_of, read_letter
from redurable.store.memory.state import MemoryHub
from redurable.store.memory.streams import Fields, parse_id

_Original = tuple[tuple[bytes, bytes], ...]
_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(_Original)


def outbox_fields(item: Outgoing | DeadLetter) -> Fields:
    """`d` destination, `s` start or `m` message [, `r` whom a refused start is reported to, `f` what they are told]; or
    `dead` reason, `i` instance, `o` original fields, `p` position."""
    if isinstance(item, DeadLetter):
        letter = {b"dead": item.reason.encode(), b"i": item.instance.encode(), b"o": _pack.encode(item.fields)}
        return letter | {b"p": item.position.encode()}
    fields = {b"d": item.instance.encode()}
    fields[b"s" if isinstance(item.message, StartExecution) else b"m"] = encode(item.message)
    if item.refusal is not None:
        parent, message = item.refusal
        fields |= {b"r": parent.encode(), b"f": encode(message)}
    return fields


def read_outbox(fields: Fields) -> Outgoing | DeadLetter:
    """The opposite of `outbox_fields`."""
    if b"dead" in fields:
        reason, instance, position = (fields[name].decode() for name in (b"dead", b"i", b"p"))
        return DeadLetter(reason, instance, _unpack.decode(fields[b"o"]), position)
    message = decode_start(fields[b"s"]) if b"s" in fields else decode_message(fields[b"m"])
    refused = decode_message(fields[b"f"]) if b"f" in fields else None
    refusal = (fields[b"r"].decode(), refused) if isinstance(refused, SubOrchestrationFailure) else None
    return Outgoing(fields[b"d"].decode(), message, refusal)


def dead_fields(letter: DeadLetter, at: int) -> Fields:
    """An entry of the hub's dead letters: `reason`, `instance`, `at` (ms) [, `position` in the intake], and behind them
    the original fields; `o`, packed, are those that bear the name of one of ours and say something else."""
    fields = {b"reason": letter.reason.encode(), b"instance": letter.instance.encode(), b"at": str(at).encode()}
    if letter.position:
        fields[b"position"] = letter.position.encode()
    covered = tuple((name, value) for name, value in letter.fields if fields.get(name, value) != value or name == b"o")
    whole = {name: value for name, value in letter.fields if name not in fields and name != b"o"}
    return fields | whole | ({b"o": _pack.encode(covered)} if covered else {})


def letters(hub: MemoryHub, after: str, count: int) -> list[Letter]:
    """Up to `count` dead letters behind that id."""
    return [read_letter(letter_id, fields) for letter_id, fields in hub.dead.after(parse_id(after), count)]


def drop_letters(hub: MemoryHub, ids: Sequence[str]) -> int:
    """Delete these; return how many were there."""
    before = len(hub.dead)
    for letter_id in ids:
        hub.dead.delete(letter_id)
    return before - len(hub.dead)


def redrive_letters(hub: MemoryHub, ids: Sequence[str]) -> list[str]:
    """Put these back into the intake, as far as they can come from there; return their ids."""
    there = {letter.id: letter for letter in letters(hub, "", len(hub.dead))}
    redriven = entries_of(there[letter_id] for letter_id in dict.fromkeys(ids) if letter_id in there)
    for letter_id, entry in redriven:
        hub.intake.append(hub.clock(), dict(entry))
        hub.dead.delete(letter_id)
    return [letter_id for letter_id, _ in redriven]
