"""What running activity code may know about its attempt; the worker's activity runner sets it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from redurable.core.values import Task
from redurable.errors import CallerError

_current: ContextVar[ActivityContext] = ContextVar("redurable_activity")


@dataclass(frozen=True, kw_only=True)
class ActivityContext:
    """The attempt that is running now.

    `instance_id` and `execution` name the orchestration that called. `attempt` counts from 1. `idempotency_key` is the
    same for every attempt of this call and different for every other call: give it to services that de-duplicate.
    """

    instance_id: str
    execution: str
    attempt: int
    idempotency_key: str

    @classmethod
    def current(cls) -> ActivityContext:
        """The context of the activity that calls this; raises `CallerError` outside of one."""
        context = _current.get(None)
        if context is None:
            raise CallerError(
                "ActivityContext.current() was called outside a running activity: call it in the activity itself, "
                "or in a test inside `with ActivityContext(...).active():`"
            )
        return context

    @classmethod
    def of(cls, task: Task) -> ActivityContext:
        """The context of a task's attempt."""
        return cls(
            instance_id=task.instance,
            execution=task.execution,
            attempt=task.attempt,
            idempotency_key=task.idempotency_key,
        )

    @contextmanager
    def active(self) -> Generator[ActivityContext, None, None]:
        """Make this the current context inside the `with` block and all that it calls, threads of anyio included."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)
