"""The way to one server: borrow a connection, send one command, read one reply. Everything in this package goes
through here; the bytes of a reply are handed on as they came (RESP2: bytes, int, list, None).

Nothing is repeated behind the caller's back: a call that failed may have happened, and only the runtime knows which
of its calls are harmless to repeat. A call that was cancelled or timed out leaves its connection in an unknown state,
so that connection is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from redurable.errors import StoreDamaged, StoreError, StoreFull, StoreRefused, StoreUnavailable
from redurable.facts import StoreSampled
from redurable.store.redis import damage
from redurable.store.redis.channel import Argument, Channel, ChannelFactory, pack
from redurable.store.redis.meter import Meter
from redurable.store.redis.scripts import load

log = logging.getLogger("redurable.store")

BeforeConnect: TypeAlias = Callable[[], Awaitable[None]]
E = TypeVar("E", bound=Exception)

CALL_TIMEOUT_S: Final = 5.0
"""A server that is silent for so long does not answer."""
MOST_CALLS: Final = 32
"""So many calls that do not block are in flight at once; more would only mean more connections, not more speed."""
BLOCK_MARGIN_S: Final = 3.0
"""A blocking read may answer so much later than it was told to."""

_READ_ONLY = "the server is a read-only replica: if this lasts beyond a failover, connect to the primary"
_REFUSALS: tuple[tuple[type[RedisError], str], ...] = (
    (NoPermissionError, "this user may not do that: extend its ACL rules (see `redurable acl`)"),
    (AuthenticationError, "the server wants other credentials: check user and password in the store's address"),
    (AuthorizationError, "the server wants other credentials: check user and password in the store's address"),
    (AskError, "the server is a node of a Redis Cluster: connect to a server without cluster mode"),
    (ClusterCrossSlotError, "the server is a node of a Redis Cluster: connect to a server without cluster mode"),
)
_FULL_WORDS = {
    "OOM": "the server is out of memory: raise its maxmemory, or purge finished instances",
    "MISCONF": "the server cannot write to its disk and takes no writes: look at its log",
}
_PASSING = (TryAgainError, ClusterDownError)
_PASSING_WORDS = frozenset({"BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED", "UNKILLABLE"})
_UNKNOWN_YET = "Protocol error: unauthenticated"
"""So begins what a server says of a long command to somebody who has not logged in; the command has no fault."""


class Lane:
    """The connections to one server; as many as calls are in flight, the warmest first.

    A lane belongs to one event loop. Every method raises `StoreUnavailable` (no answer, or not now), `StoreRefused`
    (a person must act; `StoreDamaged` names keys that somebody wrote over) or `redis.exceptions.ResponseError` (this
    command fails on this data).
    """

    def __init__(self, connect: ChannelFactory, before_connect: BeforeConnect | None = None) -> None:
        self.connect = connect
        self.before_connect = before_connect
        self._idle: list[Channel] = []
        self._calls = asyncio.Semaphore(MOST_CALLS)
        self._closed = False
        self._reported: set[str] = set()
        self._in_use = 0
        self._meter: Meter | None = None

    async def open(self) -> None:
        """See that the server answers."""
        self._closed = False
        await self.call("PING")

    async def close(self) -> None:
        """Close the idle connections now, and those in use as they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def call(self, *command: Argument) -> Any:
        """One command that does not block."""
        async with self._calls:
            if self._meter is None:
                return await self._exchange(command, CALL_TIMEOUT_S)
            with self._meter.timing(command):
                return await self._exchange(command, CALL_TIMEOUT_S)

    async def block(self, block_ms: int, *command: Argument) -> Any:
        """One command that blocks for up to `block_ms` milliseconds by its own arguments."""
        return await self._exchange(command, block_ms / 1000 + BLOCK_MARGIN_S)

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run `lua/<name>.lua`; the server learns its text when it does not know it."""
        script = load(name)
        ro = "_RO" if script.reads else ""
        try:
            return await self.call(f"EVALSHA{ro}", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self.call(f"EVAL{ro}", script.text, len(keys), *keys, *args)

    def sample(self) -> StoreSampled:
        """What was done since the last call; the first one begins to count."""
        if self._meter is None:
            self._meter = Meter()
        return self._meter.take(len(self._idle), self._in_use)

    async def report(self, keys: Sequence[str]) -> list[str]:
        """The damaged ones among these keys, which the caller then leaves out; each is logged once."""
        wrongs = damage.named(list(keys), await self.script("types", keys, []))
        for wrong in wrongs.values():
            if wrong not in self._reported:
                self._reported.add(wrong)
                log.error("%s. What depends on it stands still until somebody renames or deletes that key", wrong)
        return list(wrongs)

    async def _damage(self, command: tuple[Argument, ...], words: str) -> StoreDamaged | None:
        if not any(sign in words for sign in damage.SIGNS):
            return None
        keys = damage.keys_in(command)
        found: list[Any] = await self.script("types", keys, []) if keys else []
        return StoreDamaged(damage.told(damage.named(keys, found), words))

    async def _exchange(self, command: tuple[Argument, ...], timeout: float) -> Any:
        packed = pack(command)
        try:
            reply = await self._send(packed, timeout)
            if isinstance(reply, RedisError):
                raise reply
        except TimeoutError:
            late = StoreUnavailable(f"no answer to {command[0]!r} within {timeout:g} s")
            raise self._noted(command, late, "timeout") from None
        except RedisError as error:
            known = store_error(error) or await self._damage(command, str(error))
            if known is None:
                raise self._noted(command, error) from None
            raise self._noted(command, known) from error
        except OSError as error:
            raise self._noted(command, StoreUnavailable(str(error))) from error
        return reply

    def _noted(self, command: tuple[Argument, ...], error: E, kind: str = "") -> E:
        if self._meter is not None:
            self._meter.note_error(command, error, kind)
        return error

    async def _send(self, packed: bytes, timeout: float) -> Any:
        channel = await self._borrow()
        self._in_use += 1
        try:
            reply = await channel.exchange(packed, timeout)
        except BaseException:
            await channel.close()
            raise
        finally:
            self._in_use -= 1
        refused = isinstance(reply, RedisError) and not isinstance(reply, ResponseError)  # log in anew next time
        if self._closed or refused:
            await channel.close()
        else:
            self._idle.append(channel)
        return reply

    async def _borrow(self) -> Channel:
        while self._idle:
            channel = self._idle.pop()
            if channel.alive:
                return channel
            await channel.close()
        if self.before_connect is not None:
            await self.before_connect()
        async with asyncio.timeout(CALL_TIMEOUT_S):
            made = await self.connect()
        if self._meter is not None:
            self._meter.connected()
        return made


def store_error(error: RedisError) -> StoreError | None:
    """What a server's error means to the runtime; None: the command fails on this data."""
    text = str(error)
    if isinstance(error, ReadOnlyError):
        return StoreUnavailable(f"{_READ_ONLY} ({text})")
    if isinstance(error, OutOfMemoryError):
        return StoreFull(f"{_FULL_WORDS['OOM']} ({text})")
    for kind, advice in _REFUSALS:
        if isinstance(error, kind) or (kind is AuthenticationError and text.startswith(_UNKNOWN_YET)):
            return StoreRefused(f"{advice} ({text})")
    if not isinstance(error, ResponseError) or isinstance(error, _PASSING):
        cause = error.__cause__  # while connecting, redis-py wraps what the server said
        refused = store_error(cause) if isinstance(cause, RedisError) else None
        return refused or StoreUnavailable(text)
    word = text.partition(" ")[0]
    if word in _FULL_WORDS:
        return StoreFull(f"{_FULL_WORDS[word]} ({text})")
    return StoreUnavailable(text) if word in _PASSING_WORDS else None
