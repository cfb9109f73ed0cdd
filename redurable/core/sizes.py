"""How large payloads may be, how a refusal says so, and how much of a large one its dead letter repeats.

A size is that of the JSON text in bytes. What has been accepted once is never measured again: the limit is a setting,
and histories must replay whatever it says today.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from msgspec import Struct

from redurable.core.values import ABSENT, Arguments
from redurable.errors import InvalidPayload, TurnLimitExceeded

UNLIMITED = sys.maxsize
SETTING = "max_payload_bytes (REDURABLE_MAX_PAYLOAD_BYTES)"
TURN_SETTING = "max_turn_bytes (REDURABLE_MAX_TURN_BYTES)"

MOST_NESTED = 200
"""Arrays and objects stand within each other at most so deep: what pydantic's reader takes. How deep the decoder of
the wire form can go differs between versions of Python, so what one worker stored could be unreadable to another."""

_BESIDE = 4_096
"""A dead letter repeats so many bytes beside its payload: names of fields, ids, reasons."""

_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""Strings, whose brackets do not count, and brackets."""

Pairs = tuple[tuple[bytes, bytes], ...]


class Bounds(Struct, frozen=True):
    """What user code may make: bytes of one payload, and of all payloads of one step of an execution together."""

    payload: int = UNLIMITED
    turn: int = UNLIMITED


UNBOUNDED = Bounds()


def call_size(call: Arguments) -> int:
    """The size of all arguments of a call together."""
    size = 0 if call.input is ABSENT else memoryview(call.input).nbytes
    for value in call.args:
        size += memoryview(value).nbytes
    if call.kwargs:
        size += sum(len(name) + memoryview(value).nbytes for name, value in call.kwargs.items())
    return size


def tags_size(tags: Mapping[str, str]) -> int:
    """The size of labels."""
    return sum(len(text.encode(errors="replace")) for item in tags.items() for text in item)


def check_size(owner: str, part: str, size: int, limit: int) -> None:
    """Raise `InvalidPayload` when `part` (its input, the result) of `owner` is larger than the limit."""
    if size > limit:
        raise InvalidPayload(
            f"{owner}: {size:,} bytes of {part} are more than {SETTING} allows, {limit:,}: "
            "keep the data elsewhere and pass a reference to it"
        )


def check_turn_size(instance: str, what: str, size: int, limit: int) -> None:
    """Raise `TurnLimitExceeded` when the payloads of one step are together larger than the limit."""
    if size > limit:
        raise TurnLimitExceeded(
            f"instance {instance!r}: {what} are {size:,} bytes together, more than {TURN_SETTING} allows, {limit:,}: "
            "await some results in between, or keep the data elsewhere and pass references to it"
        )


def check_nesting(owner: str, payload: bytes) -> None:
    """Raise `InvalidPayload` when the arrays and objects of a JSON text are nested too deep."""
    if payload.count(b"[") + payload.count(b"{") <= MOST_NESTED:
        return
    depth = 0
    for token in _NESTING.finditer(payload):
        match token.group():
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
            case _:
                continue
        if depth > MOST_NESTED:
            raise InvalidPayload(f"{owner} is nested deeper than {MOST_NESTED} arrays and objects: flatten it")


def brief(fields: Iterable[tuple[bytes, bytes]], limit: int) -> tuple[Pairs, str]:
    """The fields as a dead letter repeats them, and what its reason adds when they are not whole."""
    kept: list[tuple[bytes, bytes]] = []
    room, left_out = limit + _BESIDE if limit < UNLIMITED else UNLIMITED, 0
    for name, value in fields:
        space = max(0, min(limit, room - len(name)))
        if len(name) > room:
            left_out += len(name) + len(value)
            continue
        kept.append((name, value[:space]))
        left_out += len(value) - len(kept[-1][1])
        room -= len(name) + len(kept[-1][1])
    return tuple(kept), f" ({left_out:,} bytes of its fields are left out here)" if left_out else ""
