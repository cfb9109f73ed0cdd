"""Questions about many instances, and what answers them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from redurable.core.values import RuntimeStatus
from redurable.store.snapshots import Snapshot

LAST: Final = 2**42
"""Milliseconds behind all times that there will be (the year 2109)."""


class Query(Struct, frozen=True, kw_only=True):
    """Which instances are asked for: those to which all of this applies. Nothing said: all.

    Of `statuses` and of `names` any one must be the instance's, of `tags` all. Times are milliseconds of the store's
    clock, and both ends belong to them. `quarantined`: only those that are parked again and again.
    """

    statuses: tuple[RuntimeStatus, ...] = ()
    names: tuple[str, ...] = ()
    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    created_from: int = 0
    created_to: int = LAST
    updated_from: int = 0
    updated_to: int = LAST
    quarantined: bool = False

    def admits(self, snapshot: Snapshot) -> bool:
        """Whether an instance is one of those."""
        return (
            (not self.statuses or snapshot.status in self.statuses)
            and (not self.names or snapshot.name in self.names)
            and snapshot.instance.startswith(self.prefix)
            and all(snapshot.tags.get(key) == value for key, value in self.tags)
            and self.created_from <= snapshot.created_at <= self.created_to
            and self.updated_from <= snapshot.updated_at <= self.updated_to
            and (not self.quarantined or snapshot.quarantined is not None)
        )


class Place(Struct, frozen=True, array_like=True, order=True):
    """Where a walk is: behind this instance, which need not exist any more. The newest come first; those of one
    millisecond by their ids, backwards. An instance never changes its place, so a walk meets each once."""

    created: int
    instance: str


class Found(Struct, frozen=True):
    """A page, the newest first; the next one begins at `place`, None: there is none. A page may be short, even empty,
    though another one follows: a store looks at so many instances for one page and at no more."""

    snapshots: tuple[Snapshot, ...]
    place: Place | None = None


class Counts(Struct, frozen=True):
    """How many instances there are by (name, status), and how many of them are quarantined."""

    instances: dict[tuple[str, RuntimeStatus], int]
    quarantined: int = 0


class Standing(Struct, frozen=True):
    """Where an instance stands: its current execution, and its status."""

    instance: str
    execution: str
    status: RuntimeStatus
