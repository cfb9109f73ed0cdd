"""Names and identifiers: what they may look like, and which partition an instance lives in."""

from __future__ import annotations

import re
from binascii import crc32

from redurable.errors import InvalidName

MAX_INSTANCE_ID_BYTES = 256
_HUB = re.compile(r"[a-z0-9-]{1,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHOWN = 40


def check_hub_name(hub: str) -> str:
    """Return `hub`, or raise `InvalidName`: hub names are 1 to 63 of the characters a-z, 0-9 and `-`."""
    if not _HUB.fullmatch(_text(hub, "hub name")):
        raise InvalidName(f"hub name {_shown(hub)} is not valid: use 1 to 63 of the characters a-z, 0-9 and '-'")
    return hub


def check_instance_id(instance: str) -> str:
    """Return `instance`, or raise `InvalidName`: 1 to 256 bytes of UTF-8 without control characters."""
    return _check(instance, "instance id")


def check_name(name: str, kind: str) -> str:
    """Return `name`, or raise `InvalidName`: names of code, events and task queues follow the rule of instance ids."""
    return _check(name, f"{kind} name")


def check_id(identifier: str, kind: str) -> str:
    """Return what a caller names an event or an execution by, or raise `InvalidName`: any text of at most 256 bytes."""
    size = len(_text(identifier, f"{kind} id").encode(errors="replace"))
    if size > MAX_INSTANCE_ID_BYTES:
        raise InvalidName(f"{kind} id {_shown(identifier)} has {size} bytes: use at most {MAX_INSTANCE_ID_BYTES}")
    return identifier


def _check(text: str, what: str) -> str:
    try:
        size = len(_text(text, what).encode())
    except UnicodeEncodeError:
        raise InvalidName(f"{what} {_shown(text)} is not valid Unicode text: remove its lone surrogates") from None
    if not 0 < size <= MAX_INSTANCE_ID_BYTES:
        raise InvalidName(f"{what} {_shown(text)} has {size} bytes: use 1 to {MAX_INSTANCE_ID_BYTES}")
    if _CONTROL.search(text):
        raise InvalidName(f"{what} {_shown(text)} has control characters: remove them")
    return text


def _text(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise InvalidName(f"{what} {text!r:.80} is of type {type(text).__name__}: use a string")
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def partition_of(instance: str, partitions: int) -> int:
    """The partition of an instance: CRC-32 (the one of zlib) of its UTF-8 id, modulo the hub's number of partitions."""
    return crc32(instance.encode()) % partitions
