"""Names and identifiers: what they may look like, and which partition an instance lives in."""

from __future__ import annotations

import re
from binascii import crc32

from redurable.errors import InvalidName

MAX_INSTANCE_ID_BYTES = 256
_HUB = re.compile(r"[a-z0-9-]{1,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_hub_name(hub: str) -> str:
    """Return `hub`, or raise `InvalidName`: hub names are 1 to 63 of the characters a-z, 0-9 and `-`."""
    if not _HUB.fullmatch(hub):
        raise InvalidName(f"hub name {hub!r} is not valid: use 1 to 63 of the characters a-z, 0-9 and '-'")
    return hub


def check_instance_id(instance: str) -> str:
    """Return `instance`, or raise `InvalidName`: 1 to 256 bytes of UTF-8 without control characters."""
    try:
        size = len(instance.encode())
    except UnicodeEncodeError:
        raise InvalidName(f"instance id {instance!r} is not valid Unicode text: remove its lone surrogates") from None
    if not 0 < size <= MAX_INSTANCE_ID_BYTES:
        raise InvalidName(f"instance id {instance[:40]!r} has {size} bytes: use 1 to {MAX_INSTANCE_ID_BYTES}")
    if _CONTROL.search(instance):
        raise InvalidName(f"instance id {instance!r} has control characters: remove them")
    return instance


def check_name(name: str, kind: str) -> str:
    """Return `name`, or raise `InvalidName`: names of code, events and task queues are 1 to 256 printable bytes."""
    if not 0 < len(name.encode(errors="replace")) <= MAX_INSTANCE_ID_BYTES or _CONTROL.search(name):
        raise InvalidName(f"{kind} name {name[:40]!r} is not valid: use 1 to 256 bytes without control characters")
    return name


def partition_of(instance: str, partitions: int) -> int:
    """The partition of an instance: CRC-32 (the one of zlib) of its UTF-8 id, modulo the hub's number of partitions."""
    return crc32(instance.encode()) % partitions
