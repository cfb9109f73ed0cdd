"""What became of a prefix of the intake: the answer of the store's verb `route`."""

from __future__ import annotations

from msgspec import Struct


class Routed(Struct, frozen=True):
    """How many intake entries were delivered, and how many went to the dead letters."""

    delivered: int = 0
    dead: int = 0
