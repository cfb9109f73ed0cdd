"""Live replays of recent instances, least recently used first out, limited by count and by bytes.

An instance in a turn has its replay taken out of here, so nobody else can touch it; it comes back once the store has
accepted the commit. Replays that fall out gather in `dropped` until the turn thread evicts them: only that thread may.
"""

from __future__ import annotations

from collections import OrderedDict

from redurable.core.delivery import Position
from redurable.core.known import Known
from redurable.facts import CacheEvicted, Facts


class _Kept:
    """A replay at rest. Position and size are noted, because a turn changes the replay's own."""

    __slots__ = ("known", "position", "size")

    def __init__(self, known: Known) -> None:
        self.known = known
        self.position = known.position
        self.size = known.size


class ReplayCache:
    """The replays of one worker. For every `take`, a `put` or `drop` of the same instance follows."""

    def __init__(self, most: int, most_bytes: int, facts: Facts) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._facts = facts
        self._bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._taken: dict[str, Position] = {}
        self._dropped: list[Known] = []

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """The sizes of all replays kept, together."""
        return self._bytes

    def position(self, instance: str) -> Position | None:
        """What the instance's replay has seen; while it is taken out, what it had seen before."""
        kept = self._kept.get(instance)
        return kept.position if kept is not None else self._taken.get(instance)

    def look(self, instance: str) -> Known | None:
        """The instance's replay, which stays where it is."""
        kept = self._kept.get(instance)
        return None if kept is None else kept.known

    def take(self, instance: str) -> Known | None:
        """Take the instance's replay out for a turn."""
        kept = self._kept.pop(instance, None)
        if kept is None:
            return None
        self._bytes -= kept.size
        self._taken[instance] = kept.position
        return kept.known

    def put(self, instance: str, known: Known) -> None:
        """Keep a replay whose commit was accepted; the least recently used make room."""
        self._taken.pop(instance, None)
        kept = self._kept[instance] = _Kept(known)
        self._bytes += kept.size
        evicted = 0
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size
            self._dropped.append(oldest.known)
            evicted += 1
        if evicted and self._facts.listening:
            self._facts.announce(CacheEvicted("full", evicted))

    def drop(self, instance: str, known: Known | None = None, reason: str = "") -> None:
        """The instance's replay does not come back; `known`, if given, is to be evicted and that is announced."""
        self._taken.pop(instance, None)
        if known is None:
            return
        self._dropped.append(known)
        if reason and self._facts.listening:
            self._facts.announce(CacheEvicted(reason, 1))

    def take_dropped(self) -> list[Known]:
        """Replays to evict on the turn thread, each handed out once."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def clear(self) -> list[Known]:
        """Drop everything; return what to evict on the turn thread."""
        dropped = [*self.take_dropped(), *(kept.known for kept in self._kept.values())]
        self._kept.clear()
        self._bytes = 0
        return dropped
