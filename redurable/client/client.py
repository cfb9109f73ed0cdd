"""The client of a hub: an async context manager over a store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup
from msgspec import Raw

from redurable.authoring.calls import read_start_call
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.functions import Orchestrator
from redurable.authoring.payloads import Codec, encode
from redurable.authoring.policies import START_OPTIONS, StartOptions, check_fit, milliseconds
from redurable.client import sending
from redurable.client.attempts import failed, pending_activities, settle, token_of
from redurable.client.changes import Changes
from redurable.client.explaining import Explaining
from redurable.client.handle import Handle
from redurable.client.insight import Insight
from redurable.client.letters import Letters
from redurable.client.link import Link
from redurable.client.operations import Operations
from redurable.client.status import Status, status_of
from redurable.client.watching import Watching
from redurable.core.completion import Completion
from redurable.core.events import HistoryRow
from redurable.core.ids import check_hub_name, check_id, check_instance_id, check_name
from redurable.core.messages import RaiseEvent, StartExecution
from redurable.core.rows import history_rows
from redurable.core.sizes import call_size, check_size, tags_size
from redurable.core.traces import Tracing
from redurable.core.values import ABSENT, Failure
from redurable.errors import (
    CallerError,
    InstanceFinished,
    InstanceNotFound,
)
from redurable.facts import EventsUnclaimed, Facts
from redurable.settings import PayloadSettings, UnknownSettings
from redurable.store.address import open_hub, where
from redurable.store.port import Hub, SendOutcome, StartRequest
from redurable.store.redriving import Redriven
from redurable.store.unknown import UnknownInstance

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_CLOSE_TIMEOUT = 5.0
_SHOWN = 3
_UNCLAIMED = {
    SendOutcome.KEPT: "it is kept until the instance starts",
    SendOutcome.DROPPED: "it is dropped",
    SendOutcome.BURIED: "it goes to the dead letters",
}

log = logging.getLogger("redurable.client")


class Client(Explaining, Watching, Letters, Insight, Operations):
    """Starts orchestrations, talks to them, and asks how they are: `async with Client(hub="orders") as client: …`.

    `address`: see the documentation of store addresses; None: the environment variable REDURABLE_REDIS_URL, else the
    embedded server. While the store does not answer, every call is repeated, under the same ids, for `timeout`
    seconds; then it raises `StoreUnavailable`. Until a worker or a start has created the hub, all calls but `start`
    raise `HubNotFound`. Payloads have at most `max_payload_bytes` of JSON; None: the environment variable
    REDURABLE_MAX_PAYLOAD_BYTES, else 1 MiB. `hub` is the name of the hub; `facts` tells subscribers of events for
    instances that do not exist, and of instances that it purged; `tracing` is set by
    `redurable.telemetry.tracing.instrument`.
    """

    def __init__(
        self, address: str | None = None, *, hub: str, timeout: float = 30.0, max_payload_bytes: int | None = None
    ) -> None:
        self.hub = check_hub_name(hub)
        self._open: Callable[[], Hub] = lambda: open_hub(address, hub)
        self._where = where(address)
        self._owned = True
        self.facts = Facts()
        self.tracing: Tracing | None = None
        self._timeout = timeout
        self._max_payload = PayloadSettings().max_payload_bytes if max_payload_bytes is None else max_payload_bytes
        self._exits = AsyncExitStack()
        self._entered: tuple[Link, Changes] | None = None

    @classmethod
    def from_store(cls, store: Hub, *, timeout: float = 30.0, max_payload_bytes: int | None = None) -> Self:
        """A client over a store that is open already, and that stays open."""
        client = cls(hub=store.hub, timeout=timeout, max_payload_bytes=max_payload_bytes)
        client._open = lambda: store
        client._owned = False
        client._where = "the open store"
        return client

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            store = self._open()
            link = Link(
                store,
                self._timeout,
                self._where,
                joined=not self._owned,
                max_payload=self._max_payload,
                unknown=UnknownInstance.told(UnknownSettings()),
            )
            if self._owned:
                exits.push_async_callback(_close, store)
                await link.connect()
            changes = Changes(link)
            tasks = await anyio.create_task_group().__aenter__()
            exits.push_async_callback(_stop, tasks)
            tasks.start_soon(changes.run)
            self._entered = link, changes
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        self._entered = None
        return await self._exits.__aexit__(*error)

    @overload
    async def start(self, orchestrator: Orchestrator[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    async def start(
        self, orchestrator: Callable[[OrchestrationContext], Awaitable[R]], /, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    async def start(
        self, orchestrator: Callable[[OrchestrationContext, A], Awaitable[R]], a: A, /, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    async def start(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B], Awaitable[R]],
        a: A,
        b: B,
        /,
        **options: Unpack[StartOptions],
    ) -> Handle[R]: ...
    @overload
    async def start(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B, C], Awaitable[R]],
        a: A,
        b: B,
        c: C,
        /,
        **options: Unpack[StartOptions],
    ) -> Handle[R]: ...
    @overload
    async def start(
        self, orchestrator: str, /, *args: object, result_type: type[T], **options: Unpack[StartOptions]
    ) -> Handle[T]: ...
    @overload
    async def start(self, orchestrator: str, /, *args: object, **options: Unpack[StartOptions]) -> Handle[object]: ...
    async def start(self, orchestrator: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Start an instance, and return its handle once the store has accepted it.

        Options (see `StartOptions`) stand beside positional inputs; keyword inputs together with options go as
        `client.start(f.options(instance_id="x"), order, fast=True)`. By name, `result_type` says what the result is.
        Raises `InstanceAlreadyExists`, `InvalidPayload` for inputs that do not fit.
        """
        name, call, options, result = read_start_call(orchestrator, args, kwargs)
        check_fit(options, START_OPTIONS, f"orchestrator {name!r}", "client.start")
        self._check_size(f"orchestrator {name!r}", "input", call_size(call))
        self._check_size(f"orchestrator {name!r}", "tags", tags_size(options.get("tags", {})))
        instance = options.get("instance_id") or uuid4().hex
        on_conflict = options.get("on_conflict", "fail")
        memo = encode(options["memo"], f"orchestrator {name!r}", "memo") if "memo" in options else ABSENT
        self._check_size(f"orchestrator {name!r}", "memo", memoryview(memo).nbytes)
        message = StartExecution(
            execution=uuid4().hex,
            name=check_name(name, "orchestrator"),
            call=call,
            tags=options.get("tags", {}),
            execution_timeout=milliseconds(options["execution_timeout"]) if "execution_timeout" in options else 0,
            memo=memo,
        )
        delay = milliseconds(options["delay"]) if "delay" in options else 0
        link, changes = self._connection
        request = StartRequest(instance, message, on_conflict, delay)
        started = await sending.start(link, request, self.tracing)
        return Handle(link, changes, instance, message.execution if started else "", result)

    @overload
    def get_handle(self, instance_id: str, *, result_type: type[T]) -> Handle[T]: ...
    @overload
    def get_handle(self, instance_id: str) -> Handle[object]: ...
    def get_handle(self, instance_id: str, *, result_type: Any = object) -> Handle[Any]:
        """The handle of an instance that was started elsewhere; whether it exists shows when it is used."""
        check_instance_id(instance_id)
        result = Codec(f"instance {instance_id!r}", "result", lambda: result_type)
        return Handle(*self._connection, instance_id, "", result)

    async def raise_event(self, instance_id: str, name: str, data: object = None, event_id: str | None = None) -> None:
        """Raise an event. It waits until the orchestrator takes it.

        If the instance does not exist, the hub's rule says what becomes of the event: kept until the instance starts,
        as it is by default, dropped, or a dead letter; a warning is logged. An `event_id` that the instance has seen,
        or that is kept for it, is dropped, so the caller may repeat the call. Raises `InstanceFinished`, also when an
        answer of the store was lost, unless the instance has read the event: it may be what ended it.
        """
        payload = self._payload(data, f"event {name!r}", "data")
        chosen_id = check_id(event_id, "event") if event_id else uuid4().hex
        message = RaiseEvent(name=check_name(name, "event"), data=payload, id=chosen_id)
        outcome = await sending.send_event(self._link, check_instance_id(instance_id), message, self.tracing)
        if outcome in _UNCLAIMED:
            self._tell_unclaimed(instance_id, name, outcome)

    async def complete_activity(self, token: str, result: object = None) -> None:
        """Complete the attempt of an activity whose `ActivityContext.complete_later` returned this token, with any
        value that has a JSON form.

        Raises `AttemptNotFound` when it is not under way (any more), `InvalidToken`, `InvalidPayload`.
        """
        named = token_of(self._link, token)
        payload = self._payload(result, "the activity of this token", "result")
        await settle(self._link, Completion(named, result=payload))

    async def fail_activity(self, token: str, error: BaseException | Failure, *, retryable: bool = True) -> None:
        """Fail such an attempt, as if its function had raised this error: the next one follows as the policy says,
        unless it is not `retryable`. An activity's `retry_if` is not asked. Raises as `complete_activity`."""
        said = failed(token_of(self._link, token), error, retryable)
        if said.failure is not None:
            self._check_size("fail_activity()", "message", len(said.failure.message.encode(errors="replace")))
        await settle(self._link, said)

    async def heartbeat_activity(self, token: str, details: object = None) -> None:
        """Say that such an attempt makes progress: its `heartbeat_timeout` begins anew. `details` (None: those of
        before stay) are handed to the next attempt as `last_heartbeat`. Raises as `complete_activity`."""
        named = token_of(self._link, token)
        said = ABSENT if details is None else self._payload(details, "the activity of this token", "details")
        await settle(self._link, Completion(named, details=said))

    async def redrive(self, instance_id: str) -> bool:
        """Let a quarantined instance be tried at once, also one that waits for this. False: it was not quarantined.
        Raises `InstanceNotFound`, `InstanceFinished`."""
        link, head = self._link, uuid4().hex
        answer = await link.call(lambda: link.store.redrive(check_instance_id(instance_id), head))
        if answer is Redriven.MISSING:
            raise link.not_found(instance_id)
        if answer is Redriven.FINISHED:
            raise InstanceFinished(f"instance {instance_id!r} has finished: there is nothing to try again")
        return answer is Redriven.REDRIVEN

    async def get_status(self, instance_id: str, show_history: bool = False, show_activities: bool = False) -> Status:
        """How an instance is now; its history, and where its calls of activities stand, only if asked for: both read
        the whole history. Raises `InstanceNotFound`."""
        link = self._link
        snapshot = await link.snapshot(check_instance_id(instance_id))
        wanted = show_history or show_activities
        events = await link.history(instance_id, snapshot.execution) if wanted else []
        pending = await pending_activities(link, instance_id, snapshot.execution, events) if show_activities else None
        return status_of(snapshot, history_rows(events) if show_history else None, pending)

    async def list_executions(self, instance_id: str) -> list[str]:
        """The ids of all executions of an instance that are kept, oldest first: of those before the current one, the
        first and the newest (1,000, unless the workers' `kept_executions` says otherwise). Raises `InstanceNotFound`.
        """
        link = self._link
        executions = await link.call(lambda: link.store.executions(check_instance_id(instance_id)))
        if not executions:
            raise self._link.not_found(instance_id)
        return executions

    async def get_history(self, instance_id: str, execution: str | None = None) -> list[HistoryRow]:
        """All events of an execution (None: the current one), and between them, when an activity has its outcome, a row
        for the beginning and the end of each of its attempts. Raises `InstanceNotFound`."""
        events = await self._link.history(check_instance_id(instance_id), execution or "")
        if not events:
            executions = await self.list_executions(instance_id)
            if execution and execution not in executions:
                raise InstanceNotFound(
                    f"instance {instance_id!r} has no execution {execution!r}, or has it no more; of {len(executions)} "
                    f"that are kept, the newest are {', '.join(executions[-_SHOWN:])}"
                )
        return history_rows(events)

    def _payload(self, value: object, owner: str, part: str) -> Raw:
        payload = encode(value, owner, part)
        self._check_size(owner, part, memoryview(payload).nbytes)
        return payload

    def _check_size(self, owner: str, part: str, size: int) -> None:
        check_size(owner, part, size, self._max_payload)

    def _tell_unclaimed(self, instance_id: str, name: str, outcome: SendOutcome) -> None:
        hub, what = self._link.store.hub, _UNCLAIMED[outcome]
        log.warning("event %r: no instance %r in hub %r: %s", name, instance_id, hub, what)
        if self.facts.listening:
            self.facts.announce(EventsUnclaimed(outcome.value, 1))

    @property
    def _connection(self) -> tuple[Link, Changes]:
        if self._entered is None:
            raise CallerError("the client is not connected: use it inside `async with Client(…) as client:`")
        return self._entered

    @property
    def _link(self) -> Link:
        return self._connection[0]


async def _stop(tasks: TaskGroup) -> None:
    # The group is not told of an error in the body, which it would wrap into an exception group.
    tasks.cancel_scope.cancel()
    await tasks.__aexit__(None, None, None)


async def _close(store: Hub) -> None:
    with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
        await store.close()
