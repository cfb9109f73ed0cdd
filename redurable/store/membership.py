"""Who works for a hub: the answer of the store's verb `heartbeat`."""

from __future__ import annotations

from msgspec import Struct


class Membership(Struct, frozen=True):
    """The workers of the hub whose heartbeat is fresh."""

    now: int
    workers: tuple[str, ...]
