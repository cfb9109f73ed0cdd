"""Attempts that somebody else completes: taken away by token, where they are held or lie in their queue; and where the
calls of an instance stand.

What follows from what is said is decided here, of a task that was read; the script takes that very task or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace
from redis.exceptions import ResponseError

from redurable.core.attempts import Sequel
from redurable.core.codec import Unreadable, decode_task, encode
from redurable.core.completion import LATE, Completion, is_held, is_of, sequel
from redurable.core.tokens import Token
from redurable.core.values import Arguments, RuntimeStatus, Task
from redurable.errors import StoreDamaged
from redurable.store.inspect import Underway
from redurable.store.port import MOST_SEARCHED
from redurable.store.redis.keys import GROUP, PartitionKeys
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import call_field, fields_of, timer_member

SOURCE = "in-tokens"
"""What the intake is called as a source of tokens: these are delivered apart from what else lies there."""

_FINISHED = frozenset(status.value.encode() for status in RuntimeStatus if status.finished)
_DONE = b"done"
_MOVED = b"moved"


class _Found(Struct, frozen=True):
    """Where the attempt of a token lies. `held`: its body there; `queued`: the id of its entry; neither: it is late."""

    task: Task | None = None
    held: bytes = b""
    queued: str = ""


_NOWHERE = _Found()


class Saying(Struct, frozen=True):
    """An entry of the intake that says something of an attempt; `fields` are the original ones, packed."""

    id: str
    said: Completion
    fields: bytes


async def settle(lane: Lane, layout: Layout, consumer: str, said: Completion) -> bool:
    """Do what a client says of an attempt; False when it is not under way."""
    return said.token.hub == layout.name and await _settle(lane, layout, said) == _DONE


async def settle_from_intake(lane: Lane, layout: Layout, saying: Saying) -> bytes:
    """The same for an entry of the intake, once whoever asks: `done`, `dead late`, or `seen` before."""
    outcome = await _settle(lane, layout, saying.said, saying)
    return b"dead late" if outcome == b"late" else outcome


async def _settle(lane: Lane, layout: Layout, said: Completion, origin: Saying | None = None) -> bytes:
    keys, token = layout.of(said.token.instance), said.token
    while True:
        found = await _find(lane, keys, token) if token.hub == layout.name else _NOWHERE
        if found.queued and not said.ends:
            if await _goes_on(lane, keys, token):
                return _DONE  # Its function is running, and the worker watches it.
            found = _NOWHERE
        outcome: bytes = await _take(lane, keys, said, found, origin)
        if outcome != _MOVED:
            return outcome


async def _find(lane: Lane, keys: PartitionKeys, token: Token) -> _Found:
    """An attempt goes from its queue to where it is held, so it cannot slip through between these two looks."""
    queued = await _queued(lane, keys, token)
    if queued is not None:
        details = await _field(lane, keys.beats, call_field(queued))
        task = queued if details is None else replace(queued, heartbeat=Raw(details))
        return _Found(task, queued=token.entry)
    body = await _field(lane, keys.retries, _member(token.execution, token.seq, token.instance))
    held = _decoded(body)
    return _Found(held, held=body) if held is not None and body is not None and is_held(token, held) else _NOWHERE


async def _goes_on(lane: Lane, keys: PartitionKeys, token: Token) -> bool:
    """Whether the execution is there, and is not over; of a damaged instance nobody can say that it is."""
    try:
        status, execution = await lane.call("HMGET", keys.instance(token.instance), "s", "x")
    except StoreDamaged:
        return True
    return execution == token.execution.encode() and status not in _FINISHED


async def _field(lane: Lane, key: str, field: str) -> bytes | None:
    try:
        return await lane.call("HGET", key, field)
    except StoreDamaged:  # What was there is gone.
        await lane.report([key])
        return None


async def _queued(lane: Lane, keys: PartitionKeys, token: Token) -> Task | None:
    """The task of a token, if somebody has received it and it lies in its queue."""
    queue = keys.queue(token.queue)
    try:
        if not await lane.call("XPENDING", queue, GROUP, token.entry, token.entry, 1):
            return None
        entries: list[Any] = await lane.call("XRANGE", queue, token.entry, token.entry)
    except (ResponseError, StoreDamaged):  # no such queue, or no id of an entry: the token is somebody's invention
        return None
    # An id without its second part stands for many: it is none of ours.
    there = entries and entries[0][0].decode() == token.entry
    task = _decoded(fields_of(entries[0][1]).get(b"t")) if there else None
    return task if task is not None and task.held is None and is_of(token, task) else None


async def _take(lane: Lane, keys: PartitionKeys, said: Completion, found: _Found, origin: Saying | None) -> bytes:
    token, task = said.token, found.task
    names = [keys.ready, keys.timers, keys.retries, keys.outbox, keys.beats, keys.marks]
    names += [keys.instance(token.instance), keys.start(token.instance), keys.mailbox(token.instance)]
    follows = sequel(task, said, await _now(lane)) if task is not None else Sequel()
    retry = follows.retry
    names += [keys.queue(token.queue), keys.queue(retry.options.task_queue if retry else token.queue)]
    args: list[Argument] = [*(("", "") if origin is None else (SOURCE, origin.id)), token.instance, token.execution]
    args += [_member(token.execution, token.seq, token.instance), found.held, found.queued]
    args += [b"" if follows.message is None else encode(follows.message), b"" if retry is None else encode(retry)]
    args += [follows.delay_ms, call_field(task) if task else "", LATE, b"" if origin is None else origin.fields]
    return await lane.script("settle", names, args)


async def underway(
    lane: Lane, layout: Layout, consumer: str, instance: str, execution: str, calls: Sequence[tuple[int, str]]
) -> list[Underway | None]:
    """What there is of each call."""
    keys = layout.of(instance)
    found: list[Underway | None] = []
    for seq, queue in calls:
        whole = encode(Task(instance, execution, seq, "", Arguments()))
        begin = whole[: whole.index(b',"name":') + 1]
        names = [keys.timers, keys.retries, keys.queue(queue)]
        reply = await lane.script("underway", names, [_member(execution, seq, instance), begin, MOST_SEARCHED])
        found.append(_underway(reply))
    return found


def _underway(reply: list[Any] | None) -> Underway | None:
    if reply is None:
        return None
    body, due, holder = reply
    task = _decoded(body)
    return None if task is None else Underway(task, int(float(due or 0)), holder.decode(errors="replace"))


def _member(execution: str, seq: int, instance: str) -> str:
    return timer_member("r", execution, seq, instance)


async def _now(lane: Lane) -> int:
    seconds, micros = await lane.call("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def _decoded(body: bytes | None) -> Task | None:
    try:
        return None if body is None else decode_task(body)
    except Unreadable:
        return None
