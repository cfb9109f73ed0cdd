"""An instance as it goes on, for whoever looks on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from redurable.client.changes import Changes
from redurable.client.link import Link
from redurable.client.status import Status, status_of
from redurable.core.events import Event
from redurable.core.ids import check_instance_id
from redurable.core.rows import history_rows
from redurable.store.inspect import Snapshot

_LOOK_EVERY_S = 0.2
"""Between the ends of executions, which ring, nothing tells a client of a turn: it looks."""


class Watching:
    """Looking on."""

    @property
    def _connection(self) -> tuple[Link, Changes]:
        raise NotImplementedError

    async def watch(self, instance_id: str) -> AsyncIterator[Status]:
        """The status of an instance with its history: now, and whenever it has changed, until it has finished; that is
        the last one. Between two looks (five a second) several things may happen. Reads only what is new of a history.
        Raises `InstanceNotFound`, also when it is purged meanwhile."""
        check_instance_id(instance_id)
        link, _ = self._connection
        view = _View(link, instance_id)
        while True:
            snapshot = await link.snapshot(instance_id)
            if view.is_news(snapshot):
                yield await view.of(snapshot)
            if snapshot.status.finished:
                return
            await anyio.sleep(_LOOK_EVERY_S)


class _View:
    """What was seen so far."""

    def __init__(self, link: Link, instance: str) -> None:
        self._link = link
        self._instance = instance
        self._seen: tuple[object, ...] = ()
        self._execution = ""
        self._events: list[Event] = []

    def is_news(self, snapshot: Snapshot) -> bool:
        """Whether anything has changed since it was asked last."""
        mark = (snapshot.execution, snapshot.length, snapshot.updated_at, snapshot.status.value, snapshot.quarantined)
        news = mark != self._seen
        self._seen = mark
        return news

    async def of(self, snapshot: Snapshot) -> Status:
        """The status, with the whole history; only what is new is read."""
        if snapshot.execution != self._execution:
            self._execution, self._events = snapshot.execution, []
        self._events += await self._link.history(self._instance, snapshot.execution, len(self._events))
        return status_of(snapshot, history_rows(self._events))
