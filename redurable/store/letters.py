"""Dead letters as the read side tells them, and what of them can be routed anew: values of the port."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from redurable.core.codec import Unreadable, decode_message
from redurable.core.foreign import INTAKE_KINDS, INTERNAL, TOKEN_KINDS
from redurable.core.messages import RaiseEvent

Pairs = tuple[tuple[bytes, bytes], ...]

OURS: Final = (b"reason", b"instance", b"at", b"position", b"o")
"""What a dead letter says beside its original fields; `o`, packed, are originals with one of these names."""
_original = msgspec.msgpack.Decoder(Pairs)
_ID = re.compile(r"\d{1,20}(-\d{1,20})?", re.ASCII)


class Letter(Struct, frozen=True):
    """A message that nobody could take. `at`: when it came there, in milliseconds; `position`: where in the intake it
    lay, if it came from there; `fields`: it as it was written, or its beginning, if that was too much."""

    id: str
    reason: str
    instance: str
    at: int
    position: str
    fields: Pairs


def is_letter_id(text: str) -> bool:
    """Whether a store can be asked for it."""
    return _ID.fullmatch(text) is not None


def read_letter(letter_id: str, entry: Mapping[bytes, bytes]) -> Letter:
    """An entry of the dead letters. Other programs may have written it, so that anything may be missing."""
    at = entry.get(b"at", b"")
    plain = tuple((name, value) for name, value in entry.items() if name not in OURS)
    return Letter(
        letter_id,
        _text(entry.get(b"reason", b"")),
        _text(entry.get(b"instance", b"")),
        int(at) if at.isdigit() else 0,
        _text(entry.get(b"position", b"")),
        plain + _covered(entry.get(b"o")),
    )


def as_entry(letter: Letter) -> Pairs | None:
    """The entry of the intake that says the same; None for what does not come that way: tasks, answers, results."""
    said = dict(letter.fields)
    if INTERNAL in said:
        return _as_event(letter.instance, said[INTERNAL])
    if any(kind in said for kind in TOKEN_KINDS):
        return letter.fields
    if any(kind in said for kind in INTAKE_KINDS):
        there = b"instance" in said
        return letter.fields if there else ((b"instance", letter.instance.encode()), *letter.fields)
    return None


def entries_of(letters: Iterable[Letter]) -> list[tuple[str, Pairs]]:
    """The ids of those that can be routed anew, each with its entry."""
    return [(letter.id, entry) for letter in letters if (entry := as_entry(letter)) is not None]


def _as_event(instance: str, body: bytes) -> Pairs | None:
    """An external event that a client or another instance sent."""
    try:
        message = decode_message(body)
    except Unreadable:
        return None
    if not isinstance(message, RaiseEvent):
        return None
    fields = {b"instance": instance.encode(), b"event": message.name.encode(), b"data": bytes(message.data)}
    return tuple((fields | ({b"id": message.id.encode()} if message.id else {})).items())


def _covered(packed: bytes | None) -> Pairs:
    if packed is None:
        return ()
    try:
        return _original.decode(packed)
    except msgspec.DecodeError:
        return ((b"o", packed),)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
