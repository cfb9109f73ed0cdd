"""A store as the client uses it: patiently. Every verb carries its own id, so repeating one is harmless."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from redurable.core.delivery import Outgoing
from redurable.core.events import Event
from redurable.core.ids import check_instance_id
from redurable.core.messages import Cancel, Control, Message, Terminate
from redurable.core.sizes import check_size
from redurable.errors import HubNotFound, InstanceFinished, InstanceNotFound, StoreFull, StoreUnavailable
from redurable.settings import MAX_PAYLOAD_BYTES
from redurable.store.inspect import Snapshot
from redurable.store.port import Hub, SendOutcome
from redurable.store.unknown import UnknownInstance

T = TypeVar("T")

_FIRST_WAIT = 0.05
_LONGEST_WAIT = 2.0
_PAGE = 1_000


class Link:
    """A store. Calls are repeated while it is unavailable, for `timeout` seconds.

    `where` says in errors where the store is. A store that is not `joined` yet is opened by the first call; only a call
    that may `create` the hub does, so that whoever mistypes a name is told. That call also writes the rule for
    `unknown` instances into the hub, if there is one. Reasons have at most `max_payload` bytes.
    """

    def __init__(
        self,
        store: Hub,
        timeout: float,
        where: str = "this store",
        joined: bool = True,
        max_payload: int = MAX_PAYLOAD_BYTES,
        unknown: UnknownInstance | None = None,
    ) -> None:
        self.store = store
        self._max_payload = max_payload
        self._unknown = unknown
        self._creates = False
        self._timeout = timeout
        self._where = where
        self._joined = joined

    async def connect(self) -> None:
        """See that the store answers, whether or not it has the hub."""

        async def look() -> bool:
            return self._joined or await self.store.open(create=False)

        self._joined, _ = await self._repeat(look)

    async def join(self, create: bool = False) -> None:
        """Join the hub. Raises `HubNotFound` when there is none, unless this call may `create` it."""

        async def joined() -> None:
            await self._join(create)

        await self._repeat(joined)

    async def call(self, verb: Callable[[], Awaitable[T]], create: bool = False) -> T:
        """The answer of a verb. Raises `StoreUnavailable` when there is none in time, `StoreFull` at once, and
        `HubNotFound`, unless this call may `create` the hub."""
        answer, _ = await self.attempt(verb, create)
        return answer

    async def attempt(self, verb: Callable[[], Awaitable[T]], create: bool = False) -> tuple[T, bool]:
        """As `call`, and whether the verb was repeated: then an earlier attempt may already have done its work."""

        async def joined() -> T:
            await self._join(create)
            return await verb()

        return await self._repeat(joined)

    async def _join(self, create: bool) -> None:
        if not self._joined:
            self._joined = await self.store.open(create)
            self._creates = create
        if self._creates and self._unknown is not None:
            await self.store.set_unknown(self._unknown)
        self._creates = False
        if not self._joined:
            raise HubNotFound(
                f"no hub {self.store.hub!r} at {self._where}: check the hub's name and the store's address; a hub is "
                "created by its first worker, or by the first start of an instance"
            )

    async def _repeat(self, verb: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        deadline = anyio.current_time() + self._timeout
        wait, repeated = _FIRST_WAIT, False
        while True:
            try:
                return await verb(), repeated
            except StoreFull:
                raise
            except StoreUnavailable as error:
                if anyio.current_time() + wait > deadline:
                    raise StoreUnavailable(
                        f"{str(error).rstrip('.')}: {self._where} did not serve within {self._timeout:g} s; "
                        "check that the server runs and that its address is right"
                    ) from error
            await anyio.sleep(wait)
            wait, repeated = min(2 * wait, _LONGEST_WAIT), True

    async def send(self, instance: str, message: Message) -> tuple[SendOutcome, bool]:
        """Append a message to a mailbox; also whether it was repeated."""
        outcomes, repeated = await self.attempt(lambda: self.store.send([Outgoing(instance, message)]))
        return outcomes[0], repeated

    async def control(self, instance: str, message: Control) -> None:
        """Send a control message. Raises `InvalidPayload`, `InstanceNotFound`, `InstanceFinished`."""
        self.check_reason(f"{type(message).__name__.lower()}()", message.reason)
        outcome, repeated = await self.send(check_instance_id(instance), message)
        if isinstance(message, Terminate | Cancel) and repeated and outcome is SendOutcome.FINISHED:
            return  # An earlier attempt did its work.
        self.check_sent(instance, outcome)

    def check_reason(self, owner: str, reason: str) -> None:
        """Raise `InvalidPayload` for a reason that is too long."""
        check_size(owner, "reason", len(reason.encode(errors="replace")), self._max_payload)

    def check_sent(self, instance: str, outcome: SendOutcome) -> None:
        """Raise for a message that nobody will read."""
        if outcome is SendOutcome.MISSING:
            raise self.not_found(instance)
        if outcome is SendOutcome.FINISHED:
            raise InstanceFinished(f"instance {instance!r} has finished and takes no more messages")

    def not_found(self, instance: str) -> InstanceNotFound:
        """The error for an instance that does not exist."""
        return InstanceNotFound(f"no instance {instance!r} in hub {self.store.hub!r}: check the id and the hub")

    async def snapshot(self, instance: str) -> Snapshot:
        """The instance as it is now; raises `InstanceNotFound`."""
        snapshot = await self.call(lambda: self.store.get(instance))
        if snapshot is None:
            raise self.not_found(instance)
        return snapshot

    async def history(self, instance: str, execution: str, after: int = 0) -> list[Event]:
        """The history of an execution (empty: the current one), without its first `after` events."""
        events: list[Event] = []
        while True:
            start = after + len(events)
            page = await self.call(lambda start=start: self.store.history(instance, execution, start, _PAGE))
            events += page
            if len(page) < _PAGE:
                return events
