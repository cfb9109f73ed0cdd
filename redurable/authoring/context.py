"""What an orchestrator may ask for. Every method is replay-safe; awaitables are scheduled when called, and are futures.

The context turns user values into payloads and hands them to the engine's `Scope`; it keeps no state of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, Unpack, overload
from uuid import UUID, uuid5

from msgspec.structs import replace

from redurable.authoring import http_calls, waiting
from redurable.authoring.calls import StartCall, read_activity_call, read_start_call
from redurable.authoring.children import call_child, child_of
from redurable.authoring.functions import Activity, Orchestrator
from redurable.authoring.http_calls import HttpRequest, HttpResponse
from redurable.authoring.logs import ReplaySafeLogger
from redurable.authoring.payloads import Codec, decode_any, encode
from redurable.authoring.policies import (
    CHILD_OPTIONS,
    DETACHED_OPTIONS,
    ChildOptions,
    DetachedOptions,
    RetryPolicy,
    check_fit,
    milliseconds,
)
from redurable.core.definition import Scope
from redurable.core.values import ABSENT
from redurable.errors import CallerError, InvalidPayload

if TYPE_CHECKING:
    from redurable.authoring.definitions import OrchestratorDefinition

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UUIDS = UUID("4f1a3d3e-6c0d-5f0b-9a57-2f6d8f3e7b10")
"""The namespace of all ids made by `new_uuid`."""


class OrchestrationContext:
    """The one way from an orchestrator to the outside. Valid only inside its own orchestration."""

    def __init__(self, scope: Scope, definition: OrchestratorDefinition) -> None:
        self._scope = scope
        self._definition = definition

    @property
    def instance_id(self) -> str:
        """The id of this instance."""
        return self._scope.instance

    @property
    def execution(self) -> str:
        """The id of this execution; it changes with `continue_as_new`."""
        return self._scope.execution

    @property
    def parent_instance_id(self) -> str | None:
        """The instance that waits for this one as its sub-orchestration, if any."""
        parent = self._scope.parent
        return parent.instance if parent else None

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that the instance was started with."""
        return MappingProxyType(self._scope.tags)

    @cached_property
    def memo(self) -> Any:
        """The memo that the instance was started with, as plain JSON values; None when there is none."""
        return None if self._scope.memo is ABSENT else decode_any(self._scope.memo)

    @property
    def traceparent(self) -> str:
        """The W3C trace context of this execution, the same on every replay; empty when it belongs to no trace."""
        trace = self._scope.trace
        return trace.traceparent if trace else ""

    @property
    def current_utc_datetime(self) -> datetime:
        """The time of the history, the same on every replay; time-zone aware, in UTC, to the millisecond."""
        return _EPOCH + timedelta(milliseconds=self._scope.clock)

    @property
    def is_replaying(self) -> bool:
        """True while code runs that has run before."""
        return self._scope.replaying

    @property
    def history_length(self) -> int:
        """How many events the history of this execution holds; a reason to `continue_as_new`."""
        return self._scope.history_length

    @property
    def continue_as_new_suggested(self) -> bool:
        """True from the turn on in which the history has reached a fifth of what it may become: `continue_as_new` soon.
        The same on every replay. As Temporal's `is_continue_as_new_suggested`."""
        return self._scope.long

    @cached_property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger of the orchestrator's module, silent while replaying; binds `instance_id` and `execution`."""
        return ReplaySafeLogger(logging.getLogger(self._definition.function.__module__), self._scope)

    def get_logger(self, name: str) -> logging.LoggerAdapter[logging.Logger]:
        """The logger of that name, silent while replaying like `logger`, and with the same fields."""
        return ReplaySafeLogger(logging.getLogger(name), self._scope)

    @cached_property
    def random(self) -> Random:
        """Random numbers that are the same on every replay, and others in every execution."""
        return Random(f"{self._scope.instance}\n{self._scope.execution}")

    def new_uuid(self) -> UUID:
        """A new unique id, the same on every replay."""
        return uuid5(_UUIDS, f"{self._scope.instance}\n{self._scope.execution}\n{self._scope.next_unique()}")

    @overload
    def call_activity(self, activity: Activity[P, R], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]: ...
    @overload
    def call_activity(self, activity: str, /, *args: object, result_type: type[T]) -> asyncio.Future[T]: ...
    @overload
    def call_activity(self, activity: str, /, *args: object) -> asyncio.Future[object]: ...
    def call_activity(self, activity: Any, /, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Schedule an activity; options go through `activity.options(…)`.

        By name, the result is plain JSON unless `result_type` says more, and the options are those it is registered
        with, if this app has it. The future fails with `ActivityFailed` when no attempt is left.
        """
        name, call, options, result = read_activity_call(activity, args, kwargs, self._definition.registry)
        return self._scope.call_activity(name, call, options, result.decode)

    def call_http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: object = None,
        timeout: timedelta | None = http_calls.TIMEOUT,
        retry: RetryPolicy | None = None,
        task_queue: str = "default",
        asynchronous_pattern: bool = True,
        poll_interval: timedelta = http_calls.POLL_INTERVAL,
    ) -> asyncio.Future[HttpResponse]:
        """Send an HTTP request from an activity, and wait for its answer; needs `pip install 'redurable[http]'` there.

        `content`: text, or any value that has a JSON form. An answer 202 with a Location is followed: that address is
        asked, with a durable timer of `Retry-After` (else `poll_interval`, at least 1 s) before each time, until it
        answers anything else; `asynchronous_pattern=False` returns the 202. Each request has `timeout`, and is tried
        again by `retry`, as any activity, when there is no answer or one of 429, 502, 503 and 504; every other answer,
        and the last of these, is the result. Fails with `ActivityFailed`. Azure Durable Functions' call_http.
        """
        request = http_calls.http_request(method, url, headers, content)
        options = http_calls.http_options(self._definition.registry.default_options, retry, timeout, task_queue)

        def send(request: HttpRequest) -> asyncio.Future[HttpResponse]:
            return http_calls.send_http(self._scope, request, options)

        def wait(response: HttpResponse) -> asyncio.Future[None]:
            return self.create_timer(http_calls.wait_of(response, self.current_utc_datetime, poll_interval))

        first = send(request)
        return asyncio.ensure_future(http_calls.follow(first, request, send, wait)) if asynchronous_pattern else first

    @overload
    def call_sub_orchestrator(
        self, orchestrator: Orchestrator[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext], Awaitable[R]],
        /,
        **options: Unpack[ChildOptions],
    ) -> asyncio.Future[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext, A], Awaitable[R]],
        a: A,
        /,
        **options: Unpack[ChildOptions],
    ) -> asyncio.Future[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B], Awaitable[R]],
        a: A,
        b: B,
        /,
        **options: Unpack[ChildOptions],
    ) -> asyncio.Future[R]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B, C], Awaitable[R]],
        a: A,
        b: B,
        c: C,
        /,
        **options: Unpack[ChildOptions],
    ) -> asyncio.Future[R]: ...
    @overload
    def call_sub_orchestrator(
        self, orchestrator: str, /, *args: object, result_type: type[T], **options: Unpack[ChildOptions]
    ) -> asyncio.Future[T]: ...
    @overload
    def call_sub_orchestrator(
        self, orchestrator: str, /, *args: object, **options: Unpack[ChildOptions]
    ) -> asyncio.Future[object]: ...
    def call_sub_orchestrator(self, orchestrator: Any, /, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Start a child and wait for its result; `instance_id` defaults to `{parent}:{number}`.

        Options (see `ChildOptions`) stand beside positional inputs, or go through `orchestrator.options(…)`. By name,
        the result is plain JSON unless `result_type` says more. The future fails with `SubOrchestrationFailed`, also
        when the instance id is taken; with a retry policy when no attempt is left. Cancelling it asks the child to end.
        """
        return call_child(self._scope, self._read_child(orchestrator, args, kwargs, CHILD_OPTIONS))

    @overload
    def start_orchestration(self, orchestrator: Orchestrator[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> str: ...
    @overload
    def start_orchestration(
        self, orchestrator: Callable[[OrchestrationContext], Awaitable[Any]], /, **options: Unpack[DetachedOptions]
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        orchestrator: Callable[[OrchestrationContext, A], Awaitable[Any]],
        a: A,
        /,
        **options: Unpack[DetachedOptions],
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B], Awaitable[Any]],
        a: A,
        b: B,
        /,
        **options: Unpack[DetachedOptions],
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B, C], Awaitable[Any]],
        a: A,
        b: B,
        c: C,
        /,
        **options: Unpack[DetachedOptions],
    ) -> str: ...
    @overload
    def start_orchestration(self, orchestrator: str, /, *args: object, **options: Unpack[DetachedOptions]) -> str: ...
    def start_orchestration(self, orchestrator: Any, /, *args: Any, **kwargs: Any) -> str:
        """Start a child that nobody waits for, and return its instance id: by default a new unique one.

        Options: see `DetachedOptions`. When the id is taken, nothing happens but a dead letter that says so.
        """
        asked = self._read_child(orchestrator, args, kwargs, DETACHED_OPTIONS)
        child = child_of(asked.options)
        if not child.instance:
            child = replace(child, instance=str(self.new_uuid()))
        self._scope.start_orchestration(asked.name, asked.call, child)
        return child.instance

    def create_timer(self, when: timedelta | datetime) -> asyncio.Future[None]:
        """A durable timer: done after a span, or at a time-zone aware moment; cancel the future to remove it."""
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise InvalidPayload(
                    f"create_timer({when!r}): a time without a zone is ambiguous: use ctx.current_utc_datetime + …"
                )
            return self._scope.create_timer(milliseconds(when - _EPOCH))
        return self._scope.create_timer(self._scope.clock + milliseconds(when))

    @overload
    def wait_for_external_event(
        self,
        name: str,
        type: type[T],
        timeout: timedelta | None = None,
    ) -> asyncio.Future[T]: ...
    @overload
    def wait_for_external_event(self, name: str, *, timeout: timedelta | None = None) -> asyncio.Future[object]: ...
    def wait_for_external_event(
        self,
        name: str,
        type: Any = object,  # noqa: A002 - reads best at the call: type=bool
        timeout: timedelta | None = None,
    ) -> asyncio.Future[Any]:
        """The data of the next event of that name, one event for one wait, kept until somebody waits.

        The future fails with `TimeoutError` when none comes in time; cancelling it leaves the event to another wait.
        """
        codec = Codec(f"event {name!r}", "data", lambda: type)
        event = self._scope.wait_for_event(name, codec.decode)
        if timeout is None or event.done():
            return event
        return waiting.with_deadline(event, self.create_timer(timeout), f"no event {name!r} came within {timeout}")

    def select(self, *awaitables: Awaitable[T], cancel_losers: bool = True) -> asyncio.Future[tuple[int, T]]:
        """The index and result of the awaitable that was done first in the history.

        The losers are cancelled: a wait for an event gives its slot back (and the event, if it has one already), a
        timer is removed, an activity or a sub-orchestration is asked to end. With `cancel_losers=False` they go on.
        Fails as the first one fails.
        """
        if not awaitables:
            raise CallerError("select() got nothing to wait for: pass at least one awaitable")
        return waiting.select(awaitables, cancel_losers)

    def join(self, *awaitables: Awaitable[T]) -> asyncio.Future[list[T]]:
        """All results, in the order in which they were done; fails with the first error."""
        return waiting.join(awaitables)

    def raise_event(self, instance_id: str, name: str, data: object = None) -> asyncio.Future[None]:
        """Raise an event on another instance, exactly once; the future is done at once."""
        self._scope.send_event(instance_id, name, encode(data, f"event {name!r}", "data"))
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    def set_custom_status(self, status: object) -> None:
        """Replace what `get_status` shows as `custom_status`: any value that has a JSON form."""
        self._scope.set_custom_status(encode(status, "set_custom_status()", "status"))

    def continue_as_new(self, *inputs: object, keep_events: bool = True) -> NoReturn:
        """End this execution and begin the next with a fresh history; unread events go along unless told otherwise."""
        self._scope.continue_as_new(self._definition.signature.encode(inputs, {}), keep_events)

    def _read_child(
        self, orchestrator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], allowed: frozenset[str]
    ) -> StartCall:
        asked = read_start_call(orchestrator, args, kwargs, self._definition.registry)
        check_fit(asked.options, allowed, f"orchestrator {asked.name!r}", "the call of a child")
        return asked
