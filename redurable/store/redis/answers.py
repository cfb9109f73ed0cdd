"""What foreign workers answer: read answers from the beginning, look up the tasks that they are about, forget them.

Answers lie in the slot of the tasks that they are about. Reading takes nothing away, so any number of callers may do it
at once and die anywhere: an attempt ends once, because `complete` acknowledges its task, and a sign of life counts
once, because whoever deletes it stores it in the same step.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from redurable.core.answers import Answer, AnswerKind
from redurable.core.foreign import read_answer
from redurable.core.ids import check_name
from redurable.core.messages import Malformed
from redurable.core.values import ABSENT
from redurable.errors import InvalidName, StoreDamaged
from redurable.store.hearing import Answered, Heard
from redurable.store.port import TaskLease
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.tasks import leases_of
from redurable.store.redis.wire import call_field, entry_of, pack_fields

_FIRST = "0"
_REST_MS = 200
"""What cannot be taken away, because its outbox is damaged, lets no read wait for others: so long it rests instead."""
_FORGET: tuple[Argument, ...] = ("f", "", "", "", "", "")

_Place: TypeAlias = tuple[int, str, str]
"""A task: partition, queue, id."""


class _Read(Struct, frozen=True):
    """An entry of the answers."""

    partition: int
    id: str
    said: Answer | Malformed


async def hear(
    lane: Lane, layout: Layout, consumer: str, partitions: Sequence[int], count: int, block_ms: int
) -> Heard:
    """Read what foreign workers answered; signs of life and what cannot be read are dealt with here."""
    read = await _read(lane, layout, partitions, count, block_ms)
    if not read:
        return Heard()
    leases = await _tasks(lane, layout, read)
    taken = await _take_away(lane, layout, [item for item in read if not _ends(item)], leases)
    answers = [
        Answered(item.partition, item.id, item.said, leases.get(_place(item.partition, item.said)))
        for item in read
        if isinstance(item.said, Answer) and item.said.kind is not AnswerKind.HEARTBEAT
    ]
    if not answers and not taken:
        await asyncio.sleep(min(block_ms, _REST_MS) / 1000)
    dead = sum(isinstance(item.said, Malformed) for item in read)
    return Heard(tuple(await _with_details(lane, layout, answers)), len(read) - len(answers) - dead, min(dead, taken))


async def forget(lane: Lane, layout: Layout, consumer: str, answers: Sequence[Answered]) -> None:
    """Delete answers that were dealt with."""
    ring, args = Keyring(), list[Argument]()
    for item in answers:
        args += (_block(layout, ring, item.partition), item.id, *_FORGET)
    if args:
        await lane.script("heard", ring.keys, args)


async def served(lane: Lane, layout: Layout, consumer: str) -> tuple[str, ...]:
    """The task queues that foreign workers say they serve; what cannot be the name of one is passed over."""
    names: list[str] = []
    for member in await lane.call("SMEMBERS", layout.hub.queues):
        with contextlib.suppress(UnicodeDecodeError, InvalidName):
            names.append(check_name(member.decode(), "task queue"))
    return tuple(sorted(names))


async def _read(lane: Lane, layout: Layout, partitions: Sequence[int], count: int, block_ms: int) -> list[_Read]:
    numbers = {layout.partition(number).answers: number for number in partitions}
    try:
        reply = await _xread(lane, list(numbers), count, block_ms)
    except StoreDamaged:
        damaged = set(await lane.report(list(numbers)))
        reply = await _xread(lane, [key for key in numbers if key not in damaged], count, block_ms)
    return [
        _Read(numbers[stream.decode()], entry_id.decode(), read_answer(entry_of(flat), layout.max_payload))
        for stream, entries in reply or ()
        for entry_id, flat in entries
    ]


async def _xread(lane: Lane, streams: Sequence[str], count: int, block_ms: int) -> list[Any] | None:
    if not streams:
        await asyncio.sleep(block_ms / 1000)
        return None
    each = max(1, count // len(streams))
    whence = ["STREAMS", *streams, *[_FIRST] * len(streams)]
    if block_ms > 0:
        return await lane.block(block_ms, "XREAD", "COUNT", each, "BLOCK", block_ms, *whence)
    return await lane.call("XREAD", "COUNT", each, *whence)


async def _tasks(lane: Lane, layout: Layout, read: Sequence[_Read]) -> dict[_Place, TaskLease]:
    """The tasks that are held by those who say something of them."""
    ring, args, places = Keyring(), list[Argument](), list[_Place]()
    for item in read:
        if isinstance(item.said, Answer):
            said = item.said
            places.append((item.partition, said.queue, said.task))
            args += (ring.shared(layout.partition(item.partition).queue(said.queue)), said.task, said.worker)
    if not places:
        return {}
    rows: list[list[bytes]] = await lane.script("hear", ring.keys, args)
    found = {place: row for place, row in zip(places, rows, strict=True) if row}
    taken = [(number, queue, [[entry_id.encode(), row]]) for (number, queue, entry_id), row in found.items()]
    return {(lease.partition, lease.queue, lease.id): lease for lease in await leases_of(lane, layout, taken)}


async def _take_away(lane: Lane, layout: Layout, read: Sequence[_Read], leases: dict[_Place, TaskLease]) -> int:
    """Signs of life are stored, what cannot be read is buried; return how many were taken away here."""
    ring, args = Keyring(), list[Argument]()
    for item in read:
        said = item.said
        args += (_block(layout, ring, item.partition), item.id)
        if isinstance(said, Malformed):
            args += ("d", said.reason, pack_fields(said.fields), "", "", "")
            continue
        lease = leases.get(_place(item.partition, said))
        if lease is None:
            args += _FORGET
            continue
        queue = ring.shared(layout.partition(item.partition).queue(said.queue))
        details = b"" if said.details is ABSENT else bytes(said.details)
        args += ("b", queue, said.task, said.worker, call_field(lease.task), details)
    return await lane.script("heard", ring.keys, args) if args else 0


async def _with_details(lane: Lane, layout: Layout, answers: Sequence[Answered]) -> list[Answered]:
    """The stored heartbeat details of these attempts: the next one inherits them, and they go with this one."""
    stored: dict[_Place, Raw] = {}
    for number in {item.partition for item in answers}:
        leases = [item.lease for item in answers if item.partition == number and item.lease is not None]
        for lease, details in zip(leases, await _details(lane, layout, number, leases), strict=True):
            if details is not None:
                stored[number, lease.queue, lease.id] = Raw(details)
    return [_detailed(item, stored) for item in answers]


async def _details(lane: Lane, layout: Layout, partition: int, leases: Sequence[TaskLease]) -> Sequence[bytes | None]:
    beats = layout.partition(partition).beats
    try:
        return await lane.call("HMGET", beats, *(call_field(lease.task) for lease in leases)) if leases else ()
    except StoreDamaged:  # What was there is gone.
        await lane.report([beats])
        return [None] * len(leases)


def _detailed(item: Answered, stored: dict[_Place, Raw]) -> Answered:
    details = stored.get(_place(item.partition, item.answer))
    if item.lease is None or details is None:
        return item
    return replace(item, lease=replace(item.lease, heartbeat=details))


def _ends(item: _Read) -> bool:
    return isinstance(item.said, Answer) and item.said.kind is not AnswerKind.HEARTBEAT


def _place(partition: int, said: Answer) -> _Place:
    return partition, said.queue, said.task


def _block(layout: Layout, ring: Keyring, partition: int) -> int:
    keys = layout.partition(partition)
    return ring.block(keys, keys.answers, keys.beats, keys.outbox)
