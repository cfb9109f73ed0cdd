"""Who waits for a change of the file: SQLite tells nobody, so we look, cheaply and often.

`PRAGMA data_version` differs when another connection, of this process or of another one, has committed something. It
reads a few bytes of shared memory, so it is asked on the event loop, over a connection that does nothing else.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import anyio

from .database import errors

POLL_SECONDS = 0.01


class Watch:
    """`version` before you look, `changed` when there was nothing to see: then no change can slip through between."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._rung = anyio.Event()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def version(self) -> int:
        """A number that differs after every commit."""
        with errors(self._path):
            return self._connection.execute("PRAGMA data_version").fetchone()[0]

    def ring(self) -> None:
        """This process has written: whoever waits need not wait for the next poll."""
        self._rung.set()
        self._rung = anyio.Event()

    async def changed(self, since: int) -> None:
        """Return when the version is not `since` any more."""
        while self.version() == since:
            with anyio.move_on_after(POLL_SECONDS):
                await self._rung.wait()
