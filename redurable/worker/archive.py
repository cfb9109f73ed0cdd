"""The archive: what is known of instances before they are deleted, as lines of JSON. docs/retention.md has the format.

One file a day (of the store's clock, UTC) and worker: `HUB-DATE-WORKER.jsonl`. Files are only ever appended to. A line
that counts is synced to the disk before the instance is deleted; a crash in between leaves an instance that is archived
again, so whoever reads takes the last lines of an instance's execution.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from anyio import to_thread

from redurable.core.recorded import VERSION, line_of
from redurable.core.values import ABSENT
from redurable.store.queries import Standing
from redurable.worker.common import Common

_PAGE = 1_000
_MOST_BYTES = 4 * 1024 * 1024
"""So much waits in memory; then it is written, not synced yet."""
_json = msgspec.json.Encoder()


class Archive:
    """Appends to today's file in `directory`, which it makes."""

    def __init__(self, common: Common, directory: str) -> None:
        self._common = common
        self._directory = Path(directory)
        self._lines: list[bytes] = []
        self._size = 0
        self._failed: OSError | None = None
        self._written: Path | None = None
        """Where lines lie that are not synced yet: midnight may come before they are."""

    @property
    def path(self) -> Path:
        """Today's file."""
        today = datetime.fromtimestamp(self._common.clock.now() / 1000, UTC).date()
        worker = self._common.ownership.worker
        return self._directory / f"{self._common.store.hub}-{today.isoformat()}-{worker}.jsonl"

    async def add(self, member: Standing) -> None:
        """Write the histories of an instance, then what it was. Raises `StoreRefused` when they cannot be read."""
        snapshot = await self._common.store.get(member.instance)
        if snapshot is None or snapshot.execution != member.execution:
            return  # It is not going to be deleted.
        executions = await self._common.store.executions(member.instance)
        for execution in executions:
            await self._add_history(member.instance, execution)
        parent = snapshot.parent.instance if snapshot.parent else None
        await self._write(
            {
                "v": VERSION,
                "type": "instance",
                "instance": snapshot.instance,
                "execution": snapshot.execution,
                "executions": executions,
                "name": snapshot.name,
                "status": snapshot.status,
                "created_at": snapshot.created_at,
                "updated_at": snapshot.updated_at,
                "parent": parent,
                "tags": snapshot.tags,
                "memo": None if snapshot.memo is ABSENT else snapshot.memo,
                "custom_status": snapshot.custom_status,
            }
        )

    async def _add_history(self, instance: str, execution: str) -> None:
        start = 0
        while True:
            events = await self._common.store.history(instance, execution, start, _PAGE)
            await self._write(line_of(instance, execution, start, events))
            if len(events) < _PAGE:
                return
            start += len(events)

    async def _write(self, line: dict[str, Any]) -> None:
        self._lines.append(_json.encode(line))
        self._size += len(self._lines[-1])
        if self._size >= _MOST_BYTES:
            try:
                await self._flush(durably=False)
            except OSError as error:
                self._failed = error

    async def sync(self) -> None:
        """See that all that was added lies on the disk. Raises `OSError`; then none of it counts."""
        failed, self._failed = self._failed, None
        if failed is not None:
            self._lines, self._size, self._written = [], 0, None
            raise failed
        await self._flush(durably=True)

    async def _flush(self, durably: bool) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        path = self._written or self.path
        self._written = None if durably else path
        if lines or durably:
            await to_thread.run_sync(_append, path, b"\n".join([*lines, b""]), durably)


def _append(path: Path, text: bytes, durably: bool) -> None:
    made = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell() and _last_byte(file) != b"\n":
            file.write(b"\n")  # A line was cut off when the disk was full, or this process was killed.
        file.write(text)
        file.flush()
        if durably:
            os.fsync(file.fileno())
    if made:
        # A new file's name must be on the disk, too.
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)
