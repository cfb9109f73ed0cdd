"""What running activity code may know about its attempt, and say of it; the worker's activity runner sets it."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw

from redurable.authoring.payloads import decode_any, encode
from redurable.core.sizes import UNLIMITED, check_size
from redurable.core.values import ABSENT, Task
from redurable.errors import CallerError

_current: ContextVar["ActivityContext"] = ContextVar("redurable_activity")


class Pulse:
    """Between an attempt's code, in whatever thread, and the worker that watches it. Every attribute has one writer.

    By the code: `last`, when it gave its last sign of life (seconds of `clock`), and `details`, what it said then;
    `later`, that somebody else completes the attempt. By the worker: `stored`, the details that it has handed to the
    store, and `cancelled`. What the code says, and what it returns, may have `max_payload` bytes.
    """

    __slots__ = ("_waiters", "cancelled", "clock", "details", "last", "later", "max_payload", "stored")

    def __init__(self, max_payload: int = UNLIMITED, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_payload = max_payload
        self.clock = clock
        self.last = clock()
        self.details: Raw = ABSENT
        self.stored: Raw = ABSENT
        self.cancelled = False
        self.later = False
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def cancel(self) -> None:
        """Nobody waits for this attempt any more."""
        self.cancelled = True
        for loop, waiter in list(self._waiters):
            # A loop that code of the activity has made may be closed by now: then nobody waits there.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_release, waiter)

    async def until_cancelled(self) -> None:
        """Wait for it, on whatever loop."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append((loop, waiter))
        try:
            if not self.cancelled:
                await waiter
        finally:
            self._waiters.remove((loop, waiter))


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


@dataclass(frozen=True, kw_only=True)
class ActivityContext:
    """The attempt that is running now.

    `instance_id` and `execution` name the orchestration that called. `attempt` counts from 1. `idempotency_key` is the
    same for every attempt of this call and different for every other call: give it to services that de-duplicate.
    `last_heartbeat` are the newest details that an earlier attempt has left by `heartbeat`, as plain JSON values; None
    when there are none. `name` is the activity's registered name. `traceparent` is the W3C trace context of the
    orchestration (empty: it has none); with OpenTelemetry, the current span is the attempt's own.
    """

    instance_id: str
    execution: str
    attempt: int
    idempotency_key: str
    last_heartbeat: Any = None
    name: str = field(default="", compare=False)
    traceparent: str = field(default="", compare=False)
    pulse: Pulse = field(default_factory=Pulse, compare=False, repr=False)
    make_token: Callable[[], str] = field(default=lambda: "a-token", compare=False, repr=False)

    @classmethod
    def current(cls) -> "ActivityContext":
        """The context of the activity that calls this; raises `CallerError` outside of one."""
        context = _current.get(None)
        if context is None:
            raise CallerError(
                "ActivityContext.current() was called outside a running activity: call it in the activity itself, "
                "or in a test inside `with ActivityContext(...).active():`"
            )
        return context

    @classmethod
    def running(cls) -> "ActivityContext | None":
        """The same; None outside of one."""
        return _current.get(None)

    @classmethod
    def of(
        cls, task: Task, pulse: Pulse | None = None, token: Callable[[], str] = lambda: "a-token"
    ) -> "ActivityContext":
        """The context of a task's attempt; `token` makes that of `complete_later`."""
        return cls(
            instance_id=task.instance,
            execution=task.execution,
            attempt=task.attempt,
            idempotency_key=task.idempotency_key,
            last_heartbeat=None if task.heartbeat is ABSENT else decode_any(task.heartbeat),
            name=task.name,
            traceparent=task.trace.traceparent if task.trace is not None else "",
            pulse=pulse or Pulse(),
            make_token=token,
        )

    @property
    def cancelled(self) -> bool:
        """True when nobody waits for this attempt any more: its call was cancelled, its orchestration has ended, a
        timeout ran out, another worker has the task, or this one stops. Plain functions look here from time to time and
        return; async functions are cancelled at their next await."""
        return self.pulse.cancelled

    async def wait_cancelled(self) -> None:
        """Return as soon as `cancelled` is true: for tasks that an async function has begun or shielded."""
        await self.pulse.until_cancelled()

    def heartbeat(self, details: object = None) -> None:
        """Say that the attempt makes progress; from the function, or from any thread that it has begun.

        `details` (any value that has a JSON form; None: those of before stay) are handed to the next attempt as its
        `last_heartbeat`. Call it as often as you like: it only takes a note, and the newest one is stored when the
        worker next renews its leases (every 1.5 s). Raises `InvalidPayload`.
        """
        if details is not None:
            call = f"activity call {self.idempotency_key!r}"
            said = encode(details, call, "heartbeat details")
            check_size(call, "heartbeat details", memoryview(said).nbytes, self.pulse.max_payload)
            self.pulse.details = said
        self.pulse.last = self.pulse.clock()

    def complete_later(self) -> str:
        """Let somebody else complete this attempt, and return the token by which that is done.

        When the function returns, what it returns means nothing, and the attempt goes on without a worker until
        `Client.complete_activity` or `fail_activity` is called with the token, from anywhere; that may also be before
        the function has returned. An error that the function raises ends the attempt as always. The timeouts of the
        activity go on: see `Client.heartbeat_activity` where it has a `heartbeat_timeout`. As in Temporal's
        asynchronous activity completion.
        """
        self.pulse.later = True
        return self.make_token()

    @contextmanager
    def active(self) -> Generator["ActivityContext", None, None]:
        """Make this the current context inside the `with` block and all that it calls, threads of anyio included."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)
