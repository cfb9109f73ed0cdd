"""A store as the client uses it: patiently. Every verb carries its own id, so repeating one is harmless."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from redurable.core.delivery import Outgoing
from redurable.core.events import Event
from redurable.core.messages import Message
from redurable.errors import InstanceNotFound, StoreFull, StoreUnavailable
from redurable.store.port import Hub, SendOutcome, Snapshot

T = TypeVar("T")

_FIRST_WAIT = 0.05
_LONGEST_WAIT = 2.0
_PAGE = 1_000


class Link:
    """An open store. Calls are repeated while it is unavailable, for `timeout` seconds."""

    def __init__(self, store: Hub, timeout: float) -> None:
        self.store = store
        self._timeout = timeout

    async def call(self, verb: Callable[[], Awaitable[T]]) -> T:
        """The answer of a verb. Raises `StoreUnavailable` when there is none in time, `StoreFull` at once."""
        answer, _ = await self.attempt(verb)
        return answer

    async def attempt(self, verb: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """As `call`, and whether the verb was repeated: then an earlier attempt may already have done its work."""
        deadline = anyio.current_time() + self._timeout
        wait, repeated = _FIRST_WAIT, False
        while True:
            try:
                return await verb(), repeated
            except StoreFull:
                raise
            except StoreUnavailable:
                if anyio.current_time() + wait > deadline:
                    raise
            await anyio.sleep(wait)
            wait, repeated = min(2 * wait, _LONGEST_WAIT), True

    async def send(self, instance: str, message: Message) -> tuple[SendOutcome, bool]:
        """Append a message to a mailbox; also whether it was repeated."""
        outcomes, repeated = await self.attempt(lambda: self.store.send([Outgoing(instance, message)]))
        return outcomes[0], repeated

    async def snapshot(self, instance: str) -> Snapshot:
        """The instance as it is now; raises `InstanceNotFound`."""
        snapshot = await self.call(lambda: self.store.get(instance))
        if snapshot is None:
            raise InstanceNotFound(f"no instance {instance!r} in hub {self.store.hub!r}: check the id and the hub")
        return snapshot

    async def history(self, instance: str, execution: str) -> list[Event]:
        """The whole history of an execution (empty: the current one)."""
        events: list[Event] = []
        while True:
            start = len(events)
            page = await self.call(lambda start=start: self.store.history(instance, execution, start, _PAGE))
            events += page
            if len(page) < _PAGE:
                return events
