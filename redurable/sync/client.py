"""The client of a hub for code that is not async: a facade of `redurable.Client`, which lives in a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from threading import Lock
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from redurable.authoring.context import OrchestrationContext
from redurable.authoring.functions import Orchestrator
from redurable.authoring.policies import StartOptions
from redurable.client import Client as AsyncClient
from redurable.core.traces import Tracing
from redurable.facts import Facts
from redurable.sync.blocking import blocking, iterating
from redurable.sync.handle import Handle
from redurable.sync.loop import Loop, not_open

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Client:
    """`redurable.Client`, whose methods block: `with Client(hub="orders") as client: …`.

    The arguments are the same. Any number of threads may use one client at the same time; it has one thread of its own.
    Where there is no block to open it in, there are `open` and `close`. A process that was forked opens it again.
    Raises `CallerError` where an event loop runs, and when it is not open.
    """

    def __init__(
        self, address: str | None = None, *, hub: str, timeout: float = 30.0, max_payload_bytes: int | None = None
    ) -> None:
        self._client = AsyncClient(address, hub=hub, timeout=timeout, max_payload_bytes=max_payload_bytes)
        self._loop: Loop | None = None
        self._changing = Lock()

    @property
    def hub(self) -> str:
        """The name of the hub."""
        return self._client.hub

    @property
    def facts(self) -> Facts:
        """As those of `redurable.Client`; subscribers are called in the client's thread."""
        return self._client.facts

    @property
    def tracing(self) -> Tracing | None:
        """Set by `redurable.telemetry.tracing.instrument`."""
        return self._client.tracing

    @tracing.setter
    def tracing(self, tracing: Tracing | None) -> None:
        self._client.tracing = tracing

    @property
    def asynchronous(self) -> AsyncClient:
        """The client behind this one. It lives in this one's thread, and is of no use outside of it."""
        return self._client

    @property
    def loop(self) -> Loop:
        """The event loop of the client's thread. Raises `CallerError` when the client is not open."""
        if self._loop is None:
            raise not_open()
        return self._loop

    def open(self) -> Self:
        """Connect, unless it is connected; in a forked process anew. Raises `StoreUnavailable`, `StoreRefused`."""
        with self._changing:
            if self._loop is None or self._loop.forked:
                self._loop = Loop(self._client, f"redurable-client-{self.hub}")
        return self

    def close(self) -> None:
        """Disconnect; calls of other threads that are under way raise `CallerError`. Harmless when it is not open."""
        with self._changing:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    @overload
    def start(self, orchestrator: Orchestrator[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]: ...
    @overload
    def start(
        self, orchestrator: Callable[[OrchestrationContext], Awaitable[R]], /, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    def start(
        self, orchestrator: Callable[[OrchestrationContext, A], Awaitable[R]], a: A, /, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    def start(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B], Awaitable[R]],
        a: A,
        b: B,
        /,
        **options: Unpack[StartOptions],
    ) -> Handle[R]: ...
    @overload
    def start(
        self,
        orchestrator: Callable[[OrchestrationContext, A, B, C], Awaitable[R]],
        a: A,
        b: B,
        c: C,
        /,
        **options: Unpack[StartOptions],
    ) -> Handle[R]: ...
    @overload
    def start(
        self, orchestrator: str, /, *args: object, result_type: type[T], **options: Unpack[StartOptions]
    ) -> Handle[T]: ...
    @overload
    def start(self, orchestrator: str, /, *args: object, **options: Unpack[StartOptions]) -> Handle[object]: ...
    def start(self, orchestrator: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Start an instance, and return its handle once the store has accepted it.

        Options (see `StartOptions`) stand beside positional inputs; keyword inputs together with options go as
        `client.start(f.options(instance_id="x"), order, fast=True)`. By name, `result_type` says what the result is.
        Raises `InstanceAlreadyExists`, `InvalidPayload` for inputs that do not fit.
        """
        loop = self.loop
        return Handle(loop, loop.run(lambda: self._client.start(orchestrator, *args, **kwargs)))

    @overload
    def get_handle(self, instance_id: str, *, result_type: type[T]) -> Handle[T]: ...
    @overload
    def get_handle(self, instance_id: str) -> Handle[object]: ...
    def get_handle(self, instance_id: str, *, result_type: Any = object) -> Handle[Any]:
        """The handle of an instance that was started elsewhere; whether it exists shows when it is used."""
        return Handle(self.loop, self._client.get_handle(instance_id, result_type=result_type))

    def restart(self, instance_id: str, *, as_new: bool | str = False) -> Handle[Any]:
        """Start an instance anew, as it was started first: the same orchestrator, inputs, tags, memo and time limit.

        Under the same id it must have finished, and is replaced; `as_new` leaves it alone, and starts another one under
        this id, or under a new one (True). A sub-orchestration that is restarted is nobody's child. Raises
        `InstanceNotFound`, `InstanceNotFinished`, and `InstanceAlreadyExists` for an id that is taken.
        """
        loop = self.loop
        return Handle(loop, loop.run(lambda: self._client.restart(instance_id, as_new=as_new)))

    raise_event = blocking(AsyncClient.raise_event)
    complete_activity = blocking(AsyncClient.complete_activity)
    fail_activity = blocking(AsyncClient.fail_activity)
    heartbeat_activity = blocking(AsyncClient.heartbeat_activity)
    redrive = blocking(AsyncClient.redrive)

    get_status = blocking(AsyncClient.get_status)
    list_executions = blocking(AsyncClient.list_executions)
    get_history = blocking(AsyncClient.get_history)

    explain = blocking(AsyncClient.explain)
    watch = iterating(AsyncClient.watch)

    terminate = blocking(AsyncClient.terminate)
    cancel = blocking(AsyncClient.cancel)
    suspend = blocking(AsyncClient.suspend)
    resume = blocking(AsyncClient.resume)
    rewind = blocking(AsyncClient.rewind)
    reset = blocking(AsyncClient.reset)
    bulk = iterating(AsyncClient.bulk)

    list_instances = iterating(AsyncClient.list_instances)
    list_page = blocking(AsyncClient.list_page)
    count_instances = blocking(AsyncClient.count_instances)
    purge = blocking(AsyncClient.purge)
    purge_instances = blocking(AsyncClient.purge_instances)

    ping = blocking(AsyncClient.ping)
    depths = blocking(AsyncClient.depths)
    workers = blocking(AsyncClient.workers)

    list_dead_letters = iterating(AsyncClient.list_dead_letters)
    redrive_dead_letters = blocking(AsyncClient.redrive_dead_letters)
    drop_dead_letters = blocking(AsyncClient.drop_dead_letters)
