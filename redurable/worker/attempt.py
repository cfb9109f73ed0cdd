"""One attempt of an activity: bind the call, run the function, encode what it returns, or decide what its error means.

Whatever user code raises is an outcome; only being cancelled by the worker comes out as `CancelledError`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from msgspec import Raw
from msgspec.structs import replace

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.definitions import ActivityDefinition
from redurable.authoring.failures import failure_of
from redurable.core.messages import ActivityFailure, ActivityResult
from redurable.core.retry import is_retryable, next_delay
from redurable.core.values import Task
from redurable.errors import InvalidPayload
from redurable.store.port import TaskEnd, TaskLease

UNKNOWN_MIN_MS = 1_000
UNKNOWN_MAX_MS = 60_000


async def attempt(definition: ActivityDefinition, lease: TaskLease, threads: CapacityLimiter) -> tuple[TaskEnd, str]:
    """Run it; return how it ended, and the outcome in the words of `ActivityAttempted`."""
    task = lease.task
    try:
        with ActivityContext.of(task).active():
            result = await _run(definition, task, threads)
    except asyncio.CancelledError as error:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        return _failed(lease, error)
    except (Exception, SystemExit) as error:
        return _failed(lease, error)
    message = ActivityResult(execution=task.execution, seq=task.seq, result=result, attempts=task.attempt)
    return TaskEnd(lease, message), "ok"


def put_back(lease: TaskLease, now: float) -> TaskEnd:
    """No code here knows the activity, another worker's may: try later and later, without using up an attempt."""
    age = round(now - lease.task.scheduled_at)
    return TaskEnd(lease, retry=lease.task, delay_ms=min(max(age, UNKNOWN_MIN_MS), UNKNOWN_MAX_MS))


async def _run(definition: ActivityDefinition, task: Task, threads: CapacityLimiter) -> Raw:
    try:
        args, kwargs = definition.bind(task.call)
    except InvalidPayload as error:
        raise _Unfit from error
    result: Any
    if definition.is_async:
        result = await definition.function(*args, **kwargs)
    else:
        call = partial(definition.function, *args, **kwargs)
        result = await anyio.to_thread.run_sync(call, limiter=threads, abandon_on_cancel=True)
    try:
        return definition.encode(result)
    except InvalidPayload as error:
        raise _Unfit from error


class _Unfit(Exception):
    """Its cause says which payload does not fit its type; the next attempt would find the same."""


def _failed(lease: TaskLease, error: BaseException) -> tuple[TaskEnd, str]:
    task = lease.task
    policy = task.options.retry
    unfit = isinstance(error, _Unfit)
    if unfit and error.__cause__ is not None:
        error = error.__cause__
    retryable = not unfit and is_retryable(error, policy)
    delay = next_delay(policy, task.attempt, task.idempotency_key) if retryable else None
    if delay is not None:
        return TaskEnd(lease, retry=replace(task, attempt=task.attempt + 1), delay_ms=delay), "error"
    failure = replace(failure_of(error), attempts=task.attempt)
    message = ActivityFailure(execution=task.execution, seq=task.seq, failure=failure)
    return TaskEnd(lease, message), "error" if retryable else "non_retryable"
