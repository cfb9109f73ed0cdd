"""Questions about many instances: lists, pages, counts; and what deletes many."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import crc32
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypedDict, TypeVar, Unpack, cast

import msgspec
from msgspec import Struct

from redurable.client.link import Link
from redurable.client.status import Status, status_of
from redurable.core.ids import check_instance_id, check_name
from redurable.core.values import RuntimeStatus
from redurable.errors import InstanceNotFinished, InvalidFilter, InvalidToken
from redurable.facts import Facts, InstancesPurged
from redurable.store.families import purge_family
from redurable.store.purging import Purged
from redurable.store.queries import LAST, Place, Query, Standing
from redurable.store.snapshots import Snapshot

T = TypeVar("T")

MOST: Final = 1_000
"""The most instances of one page."""
_VERSION: Final = "rdq1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_FINISHED: Final = tuple(status for status in RuntimeStatus if status.finished)
_TIMES: Final = ("created_from", "created_to", "updated_from", "updated_to")
_ASKABLE: Final = tuple(status for status in RuntimeStatus if status is not RuntimeStatus.CONTINUED_AS_NEW)


class InstanceFilters(TypedDict, total=False):
    """Which instances are asked for: those to which all of this applies. Nothing said: all.

    `status`: runtime statuses (any of them). `name`: names of orchestrators (any of them). `prefix`: how the instance
    id begins. `tags`: all of them must be the instance's. Times must have a time zone; both ends belong to them.
    `quarantined`: only those that are quarantined.
    """

    status: str | Sequence[str]
    name: str | Sequence[str]
    prefix: str
    tags: Mapping[str, str]
    created_from: datetime
    created_to: datetime
    updated_from: datetime
    updated_to: datetime
    quarantined: bool


@dataclass(frozen=True)
class Page:
    """Some instances, the newest first. `continuation` asks for the next page; empty: this was the last one. A page may
    be short, even empty, though another one follows."""

    instances: tuple[Status, ...]
    continuation: str


class Queries:
    """What a client can ask of, and do to, many instances."""

    facts: Facts

    @property
    def _link(self) -> Link:
        raise NotImplementedError

    async def list_instances(
        self, *, page_size: int = 100, **filters: Unpack[InstanceFilters]
    ) -> AsyncIterator[Status]:
        """All instances to which the filters apply, the newest first, read `page_size` at a time.

        An instance that exists, and fits, all the while comes exactly once; one that starts meanwhile does not come.
        Raises `InvalidFilter` for filters that cannot be meant.
        """
        page = Page((), "")
        while True:
            page = await self.list_page(limit=page_size, continuation=page.continuation, **filters)
            for status in page.instances:
                yield status
            if not page.continuation:
                return

    async def list_page(self, *, limit: int = 100, continuation: str = "", **filters: Unpack[InstanceFilters]) -> Page:
        """A page of at most `limit` (1 to 1,000) such instances. `continuation`: what the page before said, with the
        same filters. Raises `InvalidFilter`, and `InvalidToken` for a continuation that comes from elsewhere; both are
        `ValueError`s."""
        if not 1 <= limit <= MOST:
            raise InvalidFilter(f"limit is {limit}: ask for 1 to {MOST:,} instances in a page")
        query, link = query_of(filters), self._link
        stamp = _stamp(link.store.hub, query)
        after = _read(continuation, stamp) if continuation else None
        found = await link.call(lambda: link.store.query(query, limit, after))
        following = _write(found.place, stamp) if found.place else ""
        return Page(tuple(status_of(snapshot, None) for snapshot in found.snapshots), following)

    async def count_instances(self) -> dict[tuple[str, str], int]:
        """How many instances there are, by the name of the orchestrator and the runtime status. Costs the same however
        many that is."""
        link = self._link
        counts = await link.call(link.store.counts)
        return {(name, status.value): count for (name, status), count in sorted(counts.instances.items())}

    async def purge(self, instance_id: str) -> None:
        """Delete all that is stored of a finished instance, and its sub-orchestrations that have finished; those that
        have not go on. Raises `InstanceNotFound`, and `InstanceNotFinished`, also while a parent that was rewound waits
        for one of them."""
        snapshot: Snapshot | None = await self._link.snapshot(check_instance_id(instance_id))
        while snapshot is not None:
            if not snapshot.status.finished:
                raise InstanceNotFinished(f"instance {instance_id!r} has not finished: terminate it first")
            eldest = Standing(instance_id, snapshot.execution, snapshot.status)
            gone = await purge_family(PatientFamilies(self._link), eldest)
            self._tell_purged(gone.members)
            if gone.eldest == "purged":
                return
            if gone.eldest == "awaited":
                raise _awaited(instance_id, gone.awaited)
            # Somebody else has purged it, or it has gone on since it was looked at.
            snapshot = await self._link.call(lambda: self._link.store.get(instance_id))

    async def purge_instances(self, **filters: Unpack[InstanceFilters]) -> int:
        """Delete all finished instances to which the filters apply, each with its sub-orchestrations that have
        finished; return how many were deleted, those included. What a parent that was rewound waits for stays. Raises
        `InvalidFilter`; also for a status of instances that have not finished."""
        query, link, purged = query_of(filters), self._link, 0
        after: Place | None = None
        unfinished = [status.value for status in query.statuses if not status.finished]
        if unfinished:
            raise InvalidFilter(f"status is {', '.join(unfinished)}: only finished instances can be purged")
        query = msgspec.structs.replace(query, statuses=query.statuses or _FINISHED)
        while True:
            found = await link.call(partial(link.store.query, query, MOST, after))
            gone: list[Standing] = []
            for snapshot in found.snapshots:
                eldest = Standing(snapshot.instance, snapshot.execution, snapshot.status)
                gone += (await purge_family(PatientFamilies(link), eldest)).members
            self._tell_purged(gone)
            purged += len(gone)
            after = found.place
            if after is None:
                return purged

    def _tell_purged(self, gone: Sequence[Standing]) -> None:
        if gone and self.facts.listening:
            counts = Counter(standing.status.value for standing in gone)
            self.facts.announce(InstancesPurged(tuple(counts.items())))


class PatientFamilies:
    """The verbs of `Families`, repeated while the store does not answer."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def children(self, instance: str) -> list[Standing]:
        return await self._link.call(lambda: self._link.store.children(instance))

    async def awaited(self, instances: Sequence[str]) -> list[str]:
        return await self._link.call(lambda: self._link.store.awaited(instances))

    async def disown(self, instance: str, parent: str) -> None:
        await self._link.call(lambda: self._link.store.disown(instance, parent))

    async def purge(self, instance: str, execution: str = "") -> Purged:
        answer, repeated = await self._link.attempt(lambda: self._link.store.purge(instance, execution))
        # An earlier attempt did its work.
        return "purged" if repeated and answer == "missing" else answer


def _awaited(instance: str, member: str) -> InstanceNotFinished:
    who = "it" if member == instance else f"its sub-orchestration {member!r}"
    return InstanceNotFinished(
        f"instance {instance!r} stays: {who} is asked to go on by a parent that was rewound or reset, and no worker "
        "has told it yet: try again later. If it is quarantined, repair it, or purge one by one, children first"
    )


def query_of(filters: InstanceFilters) -> Query:
    """Filters in the words of a store. Raises `InvalidFilter`."""
    unknown = filters.keys() - InstanceFilters.__annotations__.keys()
    if unknown:
        raise InvalidFilter(
            f"no such filter: {', '.join(sorted(unknown))}; there are {', '.join(InstanceFilters.__annotations__)}"
        )
    given = cast("Mapping[str, Any]", filters)
    times = {name: _milliseconds(name, given[name]) for name in _TIMES if name in given}
    for ends in ("created", "updated"):
        if times.get(f"{ends}_from", 0) > times.get(f"{ends}_to", LAST):
            raise InvalidFilter(f"{ends}_from is later than {ends}_to: exchange them")
    tags: Mapping[Any, Any] = given.get("tags", {})
    if not all(_is_text(part) for pair in tags.items() for part in pair):
        raise InvalidFilter(f"tags are {tags!r}: keys and values are texts")
    if not _is_text(filters.get("prefix", "")):
        raise InvalidFilter(f"prefix is {filters.get('prefix')!r}: give a text")
    return Query(
        statuses=tuple(_status(text) for text in _several(filters.get("status", ()), "status")),
        names=tuple(check_name(name, "orchestrator") for name in _several(filters.get("name", ()), "name")),
        prefix=filters.get("prefix", ""),
        tags=tuple(sorted(tags.items())),
        quarantined=filters.get("quarantined", False),
        **times,
    )


def _is_text(value: object) -> bool:
    """Whether it is one that can be written."""
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def _several(value: Any, name: str) -> list[str]:
    several = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(text, str) for text in several):
        raise InvalidFilter(f"{name} is {value!r}: give a text, or several")
    return sorted(set(several))


def _status(text: str) -> RuntimeStatus:
    if text not in _ASKABLE:
        raise InvalidFilter(f"status is {text!r}: there are {', '.join(_ASKABLE)}")
    return RuntimeStatus(text)


def _milliseconds(name: str, moment: Any) -> int:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidFilter(f"{name} is {moment!r}: give a datetime with a time zone, such as datetime.now(UTC)")
    # A store's times are whole milliseconds, so what lies between two of them belongs to the one that is inside.
    past, rest = divmod(moment - _EPOCH, _MS)
    return max(0, min(past + (1 if rest and name.endswith("_from") else 0), LAST))


class _Token(Struct, frozen=True, array_like=True):
    stamp: int
    created: int
    instance: str


_decoder = msgspec.json.Decoder(_Token)


def _stamp(hub: str, query: Query) -> int:
    """What a continuation belongs to."""
    return crc32(msgspec.json.encode((hub, query)))


def _write(place: Place, stamp: int) -> str:
    body = msgspec.json.encode(_Token(stamp, place.created, place.instance))
    return f"{_VERSION}.{urlsafe_b64encode(body).decode().rstrip('=')}"


def _read(text: str, stamp: int) -> Place:
    version, _, body = text.partition(".")
    try:
        if version != _VERSION:
            raise ValueError(f"it does not begin with {_VERSION!r} and a dot")
        token = _decoder.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if token.stamp != stamp:
            raise ValueError("it belongs to other filters, or to another hub")
        if not 0 <= token.created <= LAST:
            raise ValueError("it holds no time")
        return Place(token.created, token.instance)
    except ValueError as error:
        raise InvalidToken(f"{text[:60]!r} is no continuation of this list: {error}") from None
