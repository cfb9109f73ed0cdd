"""Routes of the API process itself: its health, its metrics, what autoscalers ask, and its own description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from redurable.errors import HubNotFound, StoreError
from redurable.http.answers import Answer
from redurable.http.call import Call
from redurable.http.metrics import MEDIA, HttpMetrics
from redurable.http.openapi import document
from redurable.store.depths import Depths
from redurable.worker.code import DEFAULT_QUEUE

_PROBE_SECONDS = 2.0
_TEXT = "text/plain; charset=utf-8"


async def live(call: Call) -> Answer:
    """GET /livez: this process answers."""
    return Answer(body=b"ok", media=_TEXT)


async def ready(call: Call) -> Answer:
    """GET /readyz: the stores of all hubs answer. Which one does not, is in the log."""
    try:
        with anyio.fail_after(_PROBE_SECONDS):
            for client in call.clients.values():
                await client.ping()
    except (StoreError, TimeoutError) as error:
        return Answer(status=503, body=b"the store does not answer", media=_TEXT, failure=error)
    return Answer(body=b"ok", media=_TEXT)


async def openapi(call: Call) -> Answer:
    """GET /openapi.json"""
    return Answer(body=document(call.base))


async def scaler(call: Call) -> Answer:
    """GET /scaler: one number, how much work there is: ready turns, tasks, and timers that are due.

    `taskQueue` (may be repeated): only the tasks of these queues, for workers that run activities alone. `role`:
    "orchestrations" or "activities", for workers that have one of both. Without queues it is the default one and those
    that workers serve: who scales workers of another queue from zero has to name it.
    """
    queues = [name for name in call.query.text("taskQueue").split(",") if name]
    role = "activities" if queues else call.query.text("role").lower()
    try:
        depths = await call.client.depths(queues or [DEFAULT_QUEUE])
    except HubNotFound:
        return Answer(body=0)
    return Answer(body=backlog(depths, role, queues))


def backlog(depths: Depths, role: str = "", queues: list[str] | None = None) -> int:
    """Work that waits or is under way, for one role, or for both; of `queues` alone, when there are some."""
    chosen = [depth for name, depth in depths.queues.items() if not queues or name in queues]
    tasks = sum(depth.lag + depth.pending for depth in chosen)
    turns = depths.ready.lag + depths.ready.pending + depths.due
    return {"activities": tasks, "orchestrations": turns}.get(role, tasks + turns)


def metrics_of(metrics: HttpMetrics) -> Callable[[Call], Awaitable[Answer]]:
    """GET /metrics, of this registry."""

    async def exposition(call: Call) -> Answer:
        return Answer(body=metrics.text(), media=MEDIA)

    return exposition
