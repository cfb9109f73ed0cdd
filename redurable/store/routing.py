"""What became of a prefix of the intake or of an outbox: the answers of the store's verbs `route` and `relay`."""

from __future__ import annotations

from msgspec import Struct

from redurable.store.unknown import Unclaimed


class Routed(Struct, frozen=True):
    """How many intake entries were delivered (or kept for their instance), and are dead letters; `told`: what others
    did to the intake itself."""

    delivered: int = 0
    dead: int = 0
    unclaimed: Unclaimed = Unclaimed()
    told: tuple[str, ...] = ()


class Relayed(Struct, frozen=True):
    """How many entries left an outbox."""

    count: int = 0
    unclaimed: Unclaimed = Unclaimed()
