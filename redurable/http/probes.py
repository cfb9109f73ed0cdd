"""Routes of the API process itself: its health, its metrics, what autoscalers ask, and its own description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import anyio

from redurable.errors import HubNotFound, StoreError
from redurable.http.answers import Answer, refused
from redurable.http.call import Call
from redurable.http.metrics import MEDIA, HttpMetrics
from redurable.http.openapi import document
from redurable.store.depths import Depths
from redurable.worker.code import DEFAULT_QUEUE
from redurable.worker.crew import TASKS, TURNS

ROLES = frozenset({TURNS, TASKS})
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
    """GET /scaler: one number, how much work there is: ready turns, tasks, due timers, and what is to be routed.

    `role`: "orchestrations" or "activities", for workers that have one of both. `taskQueue` (may be repeated): of all
    tasks only those of these queues. Without queues it is the default one and those that workers serve: who scales
    workers of another queue from zero has to name it.
    """
    queues = call.query.texts("taskQueue")
    roles = frozenset(name.strip().lower() for name in call.query.text("role").split(",") if name.strip())
    if not roles <= ROLES:
        raise refused(400, f"role {call.query.text('role')!r}: choose one or both of {', '.join(sorted(ROLES))}")
    try:
        depths = await call.client.depths(queues or [DEFAULT_QUEUE])
    except HubNotFound:
        return Answer(body=0)
    return Answer(body=backlog(depths, roles or ROLES, queues))


def backlog(depths: Depths, roles: Collection[str] = ROLES, queues: Collection[str] = ()) -> int:
    """Work that waits or is under way for workers of these roles; of all tasks those of `queues`, when there are some.

    Whoever takes turns also fires timers and delivers what lies in the intake and in the outboxes.
    """
    work = 0
    if TASKS in roles:
        chosen = (depth for name, depth in depths.queues.items() if not queues or name in queues)
        work += sum(depth.lag + depth.pending for depth in chosen)
    if TURNS in roles:
        work += depths.ready.lag + depths.ready.pending + depths.due + depths.intake + depths.outbox + depths.answers
    return work


def metrics_of(metrics: HttpMetrics) -> Callable[[Call], Awaitable[Answer]]:
    """GET /metrics, of this registry."""

    async def exposition(call: Call) -> Answer:
        return Answer(body=metrics.text(), media=MEDIA)

    return exposition
