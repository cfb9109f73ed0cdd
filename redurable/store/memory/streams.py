"""Streams as Redis has them: append only, ids that never go back, and (`PeekLock`) one group of competing consumers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from msgspec import Struct

StreamId = tuple[int, int]
Fields = dict[bytes, bytes]
Item = tuple[str, Fields]

ZERO: StreamId = (0, 0)
LAST: StreamId = (2**64 - 1, 2**64 - 1)


class StreamExhausted(Exception):
    """The stream's last id is the greatest that there is: it takes no more entries."""


def parse_id(text: str) -> StreamId:
    """`ms-seq` as numbers, because ids compare as numbers; the empty text is before every id."""
    if not text:
        return ZERO
    ms, _, seq = text.partition("-")
    return int(ms), int(seq or 0)


def format_id(entry_id: StreamId) -> str:
    """An id as text."""
    return f"{entry_id[0]}-{entry_id[1]}"


class Stream:
    """Entries in the order of their ids. `last` is the greatest id ever given, also when its entry is deleted."""

    __slots__ = ("entries", "last")

    def __init__(self) -> None:
        self.entries: dict[StreamId, Fields] = {}
        self.last = ZERO

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, now: int, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        """XADD. Raises `StreamExhausted`, and `ValueError` for an explicit id that is not above all others."""
        if self.last == LAST:
            raise StreamExhausted("the stream's last id is the greatest possible one: it takes no more entries")
        if entry_id == "*":
            new = max((now, 0), (self.last[0], self.last[1] + 1))
        else:
            new = parse_id(entry_id)
            if new <= self.last:
                raise ValueError(f"id {entry_id} is not greater than {format_id(self.last)}, the last id of the stream")
        self.entries[new] = dict(fields)
        self.last = new
        return format_id(new)

    def after(self, position: StreamId, count: int) -> Iterator[Item]:
        """Up to `count` entries above `position`, oldest first."""
        for entry_id, fields in list(self.entries.items()):
            if count <= 0:
                return
            if entry_id > position:
                count -= 1
                yield format_id(entry_id), fields

    def trim(self, length: int) -> None:
        """XTRIM MAXLEN: the oldest go."""
        while len(self.entries) > length:
            del self.entries[next(iter(self.entries))]

    def delete(self, entry_id: str) -> None:
        """XDEL."""
        self.entries.pop(parse_id(entry_id), None)

    def delete_until(self, position: StreamId) -> None:
        """XTRIM MINID: a prefix goes, `position` included."""
        for entry_id in [entry_id for entry_id in self.entries if entry_id <= position]:
            del self.entries[entry_id]


class Holding(Struct):
    """Who holds a delivered entry, since when its lease runs, and how often it was delivered."""

    consumer: str
    since: int
    deliveries: int = 1


class PeekLock(Stream):
    """A stream with its group: an entry is delivered to one consumer, and stays pending until it is acknowledged.

    An entry above `delivered` is undelivered. The others are pending, or of no meaning any more.
    """

    __slots__ = ("_fresh", "consumers", "delivered", "pending")

    def __init__(self) -> None:
        super().__init__()
        self.pending: dict[StreamId, Holding] = {}
        self.delivered = ZERO
        self.consumers: dict[str, int] = {}
        """Consumer -> when it was last seen here."""
        self._fresh: deque[StreamId] = deque()

    def append(self, now: int, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        text = super().append(now, fields, entry_id)
        self._fresh.append(self.last)
        return text

    def oldest_waiting(self) -> StreamId | None:
        """The first undelivered entry."""
        while self._fresh and self._fresh[0] not in self.entries:
            self._fresh.popleft()
        return self._fresh[0] if self._fresh else None

    def take(self, now: int, consumer: str, count: int) -> list[Item]:
        """XREADGROUP >: undelivered entries, oldest first."""
        self.consumers[consumer] = now
        taken: list[Item] = []
        while len(taken) < count and (entry_id := self.oldest_waiting()) is not None:
            self.delivered = self._fresh.popleft()
            self.pending[entry_id] = Holding(consumer, now)
            taken.append((format_id(entry_id), self.entries[entry_id]))
        return taken

    def acknowledge(self, entry_id: str) -> bool:
        """XACK and XDEL, whoever holds it; False when nobody did."""
        held = self.pending.pop(parse_id(entry_id), None) is not None
        if held:
            self.delete(entry_id)
        return held

    def is_held_by(self, consumer: str, entry_id: str) -> bool:
        """True while this consumer's lease was neither ended nor taken over."""
        holding = self.pending.get(parse_id(entry_id))
        return holding is not None and holding.consumer == consumer

    def is_live(self, entry_id: str) -> bool:
        """True when somebody has received this entry and not ended it, or still will receive it."""
        key = parse_id(entry_id)
        return key in self.pending or (key in self.entries and key > self.delivered)

    def is_undelivered(self, entry_id: str) -> bool:
        """True while nobody has received this entry."""
        return parse_id(entry_id) > self.delivered

    def deliveries(self, entry_id: str) -> int:
        """How often this entry changed hands because its holder fell silent, the first delivery included."""
        return self.pending[parse_id(entry_id)].deliveries

    def holders(self) -> dict[str, str]:
        """Who holds which entry."""
        return {format_id(entry_id): held.consumer for entry_id, held in self.pending.items()}

    def renew(self, now: int, consumer: str, entry_id: str) -> bool:
        """XCLAIM JUSTID by its holder: the lease starts anew. False when the consumer does not hold the entry, or a
        foreign client deleted it."""
        key = parse_id(entry_id)
        if not self.is_held_by(consumer, entry_id):
            return False
        if key not in self.entries:
            del self.pending[key]
            return False
        self.pending[key].since = now
        return True

    def hand_over(self, now: int, consumer: str, entry_id: str, to: str) -> bool:
        """XCLAIM JUSTID for another consumer: its lease begins. False when `consumer` does not hold the entry."""
        if not self.renew(now, consumer, entry_id):
            return False
        self.pending[parse_id(entry_id)].consumer = to
        return True

    def claim(self, now: int, consumer: str, lease_ms: int, count: int) -> list[Item]:
        """XAUTOCLAIM: entries whose lease ran out, whoever held them, now belong to `consumer`."""
        self.consumers[consumer] = now
        expired = [entry_id for entry_id, held in sorted(self.pending.items()) if now - held.since >= lease_ms]
        return self._deliver_again(now, consumer, expired, count)

    def own(self, now: int, consumer: str) -> list[Item]:
        """All that `consumer` holds; that it asks is no new delivery."""
        mine = [entry_id for entry_id, held in sorted(self.pending.items()) if held.consumer == consumer]
        return self._deliver_again(now, consumer, mine, len(mine), counts=0)

    def _deliver_again(self, now: int, consumer: str, ids: list[StreamId], count: int, counts: int = 1) -> list[Item]:
        again: list[Item] = []
        for entry_id in ids:
            if len(again) >= count:
                break
            if entry_id not in self.entries:  # A foreign client deleted it: nobody can do anything for it.
                del self.pending[entry_id]
                continue
            held = self.pending[entry_id]
            held.consumer, held.since, held.deliveries = consumer, now, held.deliveries + counts
            again.append((format_id(entry_id), self.entries[entry_id]))
        return again

    def holds_nothing(self, consumer: str) -> bool:
        """True when a consumer can leave the group without leaving work behind."""
        return all(held.consumer != consumer for held in self.pending.values())
