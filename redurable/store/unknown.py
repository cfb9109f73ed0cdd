"""Events for instances that do not exist: the hub's rule for them, and what became of them.

The rule lies in the hub, beside the mailboxes, and the store applies it in the step that would append the event. So
clients, the intake and the outboxes of one hub cannot disagree about it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from redurable.settings import KEEP_MS, MOST_KEPT, UnknownSettings

UnknownRule = Literal["keep", "drop", "dead-letter"]


class UnknownInstance(Struct, frozen=True):
    """What becomes of an event whose instance does not exist: it is kept until the instance begins, for `keep_ms` and
    as one of `most` (what is too many is a dead letter), or dropped, or a dead letter at once."""

    rule: UnknownRule = "keep"
    keep_ms: int = KEEP_MS
    most: int = MOST_KEPT

    @classmethod
    def told(cls, settings: UnknownSettings) -> UnknownInstance | None:
        """The rule that these settings say; None when they say nothing."""
        if not settings.says_unknown:
            return None
        return cls(settings.unknown_instance, settings.unknown_instance_ttl_ms, settings.unknown_instance_most)


class Unclaimed(Struct, frozen=True):
    """How many events came for instances that do not exist, and what became of them."""

    kept: int = 0
    dropped: int = 0
    buried: int = 0
