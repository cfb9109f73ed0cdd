"""The wire form: one JSON document per message, event or task. `v` is the version of that form, absent when it is 1.

Payloads stand in it as they are and are handed on unparsed. Unknown fields are ignored, so that releases can run side
by side; an unknown type or a higher version is an error, because guessing would lose what it means.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from redurable.core.events import Event
from redurable.core.messages import Message, StartExecution
from redurable.core.values import Task

WIRE_VERSION = 1

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_message = msgspec.json.Decoder(Message)
_event = msgspec.json.Decoder(Event)
_start = msgspec.json.Decoder(StartExecution)
_task = msgspec.json.Decoder(Task)


class Unreadable(ValueError):
    """Bytes that are not of the wire form, or of a version that this release does not know."""


def encode(value: Message | Event | StartExecution | Task) -> bytes:
    """The wire form of a value."""
    return _encoder.encode(value)


def decode_message(data: bytes) -> Message:
    """Read a mailbox message; raises `Unreadable`."""
    return _read(_message, data)


def decode_event(data: bytes) -> Event:
    """Read a history event; raises `Unreadable`."""
    return _read(_event, data)


def decode_start(data: bytes) -> StartExecution:
    """Read a start slot; raises `Unreadable`."""
    return _read(_start, data)


def decode_task(data: bytes) -> Task:
    """Read a task; raises `Unreadable`."""
    return _read(_task, data)


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        value = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{error} in {data[:80]!r}") from None
    version: int = getattr(value, "v", WIRE_VERSION)
    if version != WIRE_VERSION:
        raise Unreadable(f"wire version {version}, this release reads {WIRE_VERSION}: update redurable")
    return value
