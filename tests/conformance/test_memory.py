"""The executable specification fulfils the suite, on a clock that only moves when told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.port import Hub
from redurable.testing.conformance import *  # noqa: F403
from redurable.testing.conformance import StoreFactory


class MemoryFactory(StoreFactory):
    """A hub in this process."""

    def __init__(self) -> None:
        self._now = 1_700_000_000_000
        self._hub = MemoryHub("conformance", partitions=4, clock=lambda: self._now)

    async def store(self, consumer: str) -> Hub:
        store = MemoryStore(self._hub, consumer)
        await store.open()
        return store

    async def advance(self, ms: int) -> None:
        self._now += ms

    async def xadd_intake(self, fields: Mapping[bytes, bytes]) -> str:
        return await MemoryStore(self._hub, "foreign").xadd_intake(fields)

    async def xadd_mailbox(self, instance: str, fields: Mapping[bytes, bytes], entry_id: str = "*") -> str:
        return await MemoryStore(self._hub, "foreign").xadd_mailbox(instance, fields, entry_id)

    async def empty_mailbox(self, instance: str) -> None:
        self._hub.of(instance).mailboxes[instance].entries.clear()

    async def xadd_ready(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        return self._hub.partitions[partition].ready.append(self._now, fields)

    async def xadd_task(self, partition: int, queue: str, fields: Mapping[bytes, bytes]) -> str:
        return self._hub.partitions[partition].queue(queue).append(self._now, fields)

    async def xadd_answer(self, partition: int, fields: Mapping[bytes, bytes]) -> str:
        return self._hub.partitions[partition].answers.append(self._now, fields)

    async def serve_queue(self, queue: str) -> None:
        self._hub.served.add(queue)

    async def lose_ready(self, partition: int, entry_id: str) -> None:
        ready = self._hub.partitions[partition].ready
        ready.acknowledge(entry_id)
        ready.delete(entry_id)

    async def break_history(self, instance: str) -> None:
        self._hub.of(instance).histories[instance][-1] = b'{"type":"FromTheFuture","v":9}'

    async def break_format(self) -> None:
        self._hub.format = 3

    async def dead_letters(self) -> list[dict[bytes, bytes]]:
        return [dict(fields) for fields in self._hub.dead.entries.values()]

    async def mailbox_ttl_ms(self, instance: str) -> int | None:
        box = self._hub.of(instance).mailbox(instance)
        return None if box is None or not box.kept else max(until for until, _ in box.kept.values()) - self._now


@pytest.fixture
def store_factory() -> StoreFactory:
    return MemoryFactory()
