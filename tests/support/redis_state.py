"""What the integration tests put into a hub on Redis beside the store's verbs, and what they read of it."""

from __future__ import annotations

from typing import Any

from redurable.core.codec import decode_message
from redurable.core.ids import partition_of
from redurable.core.messages import Message, StartExecution
from redurable.store.port import StartRequest
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import fields_of


def living_in(partition: int, prefix: str = "i", partitions: int = 4) -> str:
    """An instance id of that partition."""
    return next(f"{prefix}-{n}" for n in range(1000) if partition_of(f"{prefix}-{n}", partitions) == partition)


async def start(store: RedisStore, instance: str, execution: str = "e1", delay_ms: int = 0) -> None:
    """An instance of an orchestrator named Order."""
    message = StartExecution(name="Order", execution=execution)
    await store.start(StartRequest(instance, message, delay_ms=delay_ms))


async def entries_in(store: RedisStore, stream: str) -> list[tuple[str, dict[bytes, bytes]]]:
    """All entries of a stream."""
    raw: list[Any] = await store.lane.call("XRANGE", stream, "-", "+")
    return [(entry_id.decode(), fields_of(flat)) for entry_id, flat in raw]


async def mails(store: RedisStore, instance: str) -> list[Message]:
    """The unread messages of an instance that redurable itself wrote."""
    return [decode_message(fields[b"m"]) for _, fields in await entries_in(store, store.mailbox_key(instance))]


async def letters(store: RedisStore) -> list[dict[bytes, bytes]]:
    """The hub's dead letters, without the time at which they came."""
    found = [fields for _, fields in await entries_in(store, store.layout.hub.dead)]
    assert all(int(letter.pop(b"at")) > 1_700_000_000_000 for letter in found)
    return found


async def relay_all(store: RedisStore) -> None:
    """Relay until no outbox holds anything: a delivery may fill the outbox of its destination."""
    while any([(await store.relay(partition, 100)).count for partition in range(store.partitions)]):
        pass


async def set_field(store: RedisStore, instance: str, field: str, value: str) -> None:
    """Change a field of an instance's hash behind the store's back."""
    await store.lane.call("HSET", store.layout.of(instance).instance(instance), field, value)


async def get_field(store: RedisStore, instance: str, field: str) -> bytes | None:
    """A field of an instance's hash."""
    return await store.lane.call("HGET", store.layout.of(instance).instance(instance), field)


async def waiting(store: RedisStore, instance: str) -> None:
    """An instance whose mail was read, and that nobody announces."""
    await start(store, instance)
    keys = store.layout.of(instance)
    for entry in await store.receive([keys.number], 100, 0):
        await store.lane.call("XACK", keys.ready, "w", entry.id)
        await store.lane.call("XDEL", keys.ready, entry.id)
        await set_field(store, entry.instance, "q", "")
        await store.lane.call("DEL", keys.start(entry.instance))
