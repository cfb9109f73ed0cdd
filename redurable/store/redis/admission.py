"""What clients ask for: start an instance, send messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from redurable.core.codec import encode
from redurable.core.delivery import Outgoing
from redurable.core.messages import RaiseEvent, Rewind, StartExecution
from redurable.errors import StoreDamaged, StoreFull, StoreRefused
from redurable.store.port import SendOutcome, StartOutcome, StartRequest
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.keys import PartitionKeys
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import belongings, index_keys, zsets_of
from redurable.store.redis.wire import json_text, kind_of
from redurable.store.unknown import UnknownInstance

_AGAIN = b"again"
_STARTED = {outcome.value.encode(): outcome for outcome in StartOutcome}
_SENT = {outcome.value.encode(): outcome for outcome in SendOutcome}
_MOST_MESSAGES = 500
_MOST_BYTES = 1_000_000


async def set_unknown(lane: Lane, layout: Layout, consumer: str, rule: UnknownInstance) -> None:
    """Write the hub's rule for events of unknown instances into every partition, where the scripts read it."""
    fields = ("rule", rule.rule, "keep_ms", rule.keep_ms, "most", rule.most)
    for number in range(layout.partitions):
        await lane.call("HSET", layout.partition(number).unknown, *fields)


async def start(lane: Lane, layout: Layout, consumer: str, request: StartRequest) -> StartOutcome:
    """Create an instance with its start message and announce it."""
    keys = layout.of(request.instance)
    instance, message = request.instance, request.message
    names = [keys.ready, keys.instance(instance), keys.start(instance), keys.mailbox(instance), keys.open, keys.timers]
    names += [
        keys.history(instance),
        keys.custom_status(instance),
        keys.quarantine(instance),
        keys.executions(instance),
        keys.unknown,
        keys.kept(instance),
        keys.ix,
        keys.names,
        keys.ended,
        keys.parked,
    ]
    owner = message.parent.instance if message.parent else ""
    indexes = index_keys(keys, message.name, owner, message.tags.items())
    names += indexes
    args: list[Argument] = [instance, message.name, message.execution, message.number, encode(message)]
    args += [request.on_conflict, request.delay_ms, json_text(instance), owner, len(indexes)]
    more: list[str] = []
    known: list[Argument] = ["", 0, 0, 0]
    while True:
        if request.on_conflict == "replace-finished":
            more, known = await _replaced(lane, keys, instance)
        try:
            answer = await lane.script("start", names + more, args + known)
        except (ResponseError, StoreDamaged) as error:
            raise StoreDamaged(f"instance {instance!r} cannot be started: {error}") from error
        if answer != _AGAIN:
            return _STARTED[answer]


async def _replaced(lane: Lane, keys: PartitionKeys, instance: str) -> tuple[list[str], list[Argument]]:
    """All that an instance has which may be replaced, as `start.lua` takes it."""
    has = await belongings(lane, keys, instance)
    if has is None:
        return [], ["", 0, 0, 0]
    zsets = zsets_of(keys, has)
    kids = [keys.kids(has.parent)] if has.parent else []
    past = [keys.past(instance, execution.decode()) for execution in has.past]
    return [*zsets, *kids, *past], [has.execution, len(zsets), len(kids), has.executions]


async def send(lane: Lane, layout: Layout, consumer: str, messages: Sequence[Outgoing]) -> list[SendOutcome]:
    """Append messages to mailboxes and announce their instances; start children.

    Raises `StoreRefused` when a mailbox takes no entry; the other messages have been sent then.
    """
    answers: list[bytes] = []
    ring, args, size, count = Keyring(), list[Argument](), 0, 0
    for message in messages:
        size += _pack(layout, ring, args, message)
        count += 1
        if count == _MOST_MESSAGES or size > _MOST_BYTES:
            answers += await lane.script("send", ring.keys, args)
            ring, args, size, count = Keyring(), [], 0, 0
    if count:
        answers += await lane.script("send", ring.keys, args)
    refused = [
        f"{message.instance!r}: {answer[1:].decode()}"
        for message, answer in zip(messages, answers, strict=True)
        if answer.startswith(b"!")
    ]
    if refused and all(" OOM" in text for text in refused):
        raise StoreFull(f"the server is out of memory and takes no message for {'; '.join(refused)}")
    if refused:
        raise StoreRefused(f"no message can be sent to {'; '.join(refused)}")
    return [_SENT[answer] for answer in answers]


def _pack(layout: Layout, ring: Keyring, args: list[Argument], item: Outgoing) -> int:
    keys = layout.of(item.instance)
    message, instance = item.message, item.instance
    ready = ring.block(keys, keys.ready, keys.open, keys.outbox, keys.timers, keys.unknown, keys.ix, keys.names)
    own = ring.own(
        keys.instance(instance),
        keys.start(instance),
        keys.mailbox(instance),
        keys.executions(instance),
        keys.kept(instance),
    )
    body = encode(message)
    packed: list[Any] = [ready, own, instance]
    parent, refusal = (item.refusal[0], encode(item.refusal[1])) if item.refusal else ("", b"")
    if isinstance(message, StartExecution):
        packed += ["s", message.execution, body, message.name, message.number, parent, refusal]
        owner = message.parent.instance if message.parent else ""
        indexes = index_keys(keys, message.name, owner, message.tags.items())
        packed += [message.not_before, json_text(instance), owner, ring.own(*indexes), len(indexes)]
    else:
        packed += [kind_of(message), message.execution, body]
        if isinstance(message, RaiseEvent):
            packed.append(message.id)
        elif isinstance(message, Rewind):
            packed += [parent, refusal]
    args.append(len(packed))
    args += packed
    return len(body)
