"""What became of a prefix of the intake: the answer of the store's verb `route`."""

from __future__ import annotations

from msgspec import Struct


class Routed(Struct, frozen=True):
    """How many intake entries were delivered, and are dead letters; `told`: what others did to the intake itself."""

    delivered: int = 0
    dead: int = 0
    told: tuple[str, ...] = ()
