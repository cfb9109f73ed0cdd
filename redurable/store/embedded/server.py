"""`EmbeddedServer`: the local Valkey of a data directory, started by the first process that needs it, shared by all.

ensure -> somebody answers on the socket? done : take the lock and start the server, or wait for who holds the lock.
A store calls `ensure` before each connection: so when the owner dies, taking the server with it, the first process
that reconnects starts it again on the same data.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
from anyio import CancelScope, CapacityLimiter, to_thread

from redurable.errors import StoreRefused, StoreUnavailable
from redurable.store.embedded import owner
from redurable.store.embedded.places import Places, log_tail, places_of

START_SECONDS = 10.0
ANSWER_SECONDS = 1.0
POLL_SECONDS = 0.01
KILLED = 128
"""Exit codes of a guard from here on mean that a signal killed the server."""


class EmbeddedServer:
    """The server of one data directory, as one user of this process sees it."""

    def __init__(self, directory: Path) -> None:
        """`directory` may be relative and need not exist. Nothing is started before `ensure`."""
        self._places = places_of(directory)

    @property
    def directory(self) -> Path:
        """The data directory, absolute."""
        return self._places.directory

    @property
    def socket(self) -> str:
        """The path of the unix socket, whether or not a server listens there now."""
        return str(self._places.socket)

    @property
    def owns(self) -> bool:
        """Whether the server runs and was started by this process."""
        return owner.owns(self._places)

    async def ensure(self) -> str:
        """Return the path of the unix socket on which the server answers, having started or awaited it if need be.

        Errors: `MissingExtra`, `StoreRefused` (the directory or the data cannot be used), `StoreUnavailable` (no answer
        within 10 s, though while the server says that it loads its data there is no limit).
        """
        owner.use(self._places, self)
        if not _serves(await self._ask()):
            await self._bring_up()
        return self.socket

    async def stop(self) -> None:
        """Give up the server. It ends, gracefully, if this process owns it and no other object here uses it."""
        owned = owner.release(self._places, self)
        if owned is not None:
            with CancelScope(shield=True):
                await to_thread.run_sync(owner.end, owned, limiter=CapacityLimiter(1))

    async def _bring_up(self) -> None:
        started: owner.Guard | None = None
        deadline = anyio.current_time() + START_SECONDS
        while True:
            if started is None:
                # A limiter of our own: threads that run user code must not keep the server from starting.
                started = await to_thread.run_sync(owner.start, self._places, limiter=CapacityLimiter(1))
            answer = await self._ask()
            if _serves(answer):
                return
            if answer:
                deadline = anyio.current_time() + START_SECONDS
            if started is not None and started.process.poll() is not None:
                if _gave_up(started):
                    raise _failed(started)
                started = None  # Somebody ended or killed it: once more.
            if anyio.current_time() > deadline:
                raise _silent(self._places, started)
            await anyio.sleep(POLL_SECONDS)

    async def _ask(self) -> bytes:
        """What the server answers to PING; nothing when there is none."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                # Not anyio's: while the server's queue of connections is full, cancelling its attempt to connect can
                # leave an error in the loop.
                reader, writer = await asyncio.open_unix_connection(self._places.socket)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.read(64)
                finally:
                    writer.close()
        except OSError:
            return b""


def _serves(answer: bytes) -> bool:
    """Any answer will do (a full disk answers PING with an error), but one that it still loads its data."""
    return bool(answer) and not answer.startswith(b"-LOADING")


def _gave_up(started: owner.Guard) -> bool:
    """Whether the server ended by its own decision: neither asked to (0) nor killed, nor its guard killed (< 0)."""
    return 0 < started.process.returncode < KILLED


def _failed(started: owner.Guard) -> StoreRefused:
    places = started.places
    return StoreRefused(
        f"the embedded server in {places.directory} ended with code {started.process.returncode} before it answered. "
        f"The end of {places.log}:\n{log_tail(places, started.log_start)}"
    )


def _silent(places: Places, started: owner.Guard | None) -> StoreUnavailable:
    holder = "" if started else f" Another process holds {places.lock}; if it has another TMPDIR, use the same."
    return StoreUnavailable(
        f"the embedded server in {places.directory} did not answer on {places.socket} within {START_SECONDS:.0f} s."
        f"{holder} The end of {places.log}:\n{log_tail(places, started.log_start if started else 0)}"
    )
