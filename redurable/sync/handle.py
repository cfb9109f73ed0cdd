"""A started instance, and the wait for its result, for code that is not async."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar, overload

from redurable.client import Handle as AsyncHandle
from redurable.sync.loop import Loop

R_co = TypeVar("R_co", covariant=True)


class Handle(Generic[R_co]):
    """`redurable.Handle`, whose methods block. `execution` is empty when the instance was there before."""

    def __init__(self, loop: Loop, handle: AsyncHandle[R_co]) -> None:
        self.instance_id = handle.instance_id
        self.execution = handle.execution
        self._loop = loop
        self._handle = handle

    @overload
    def result(self, timeout: float | None = None, follow: Literal[True] = True) -> R_co: ...
    @overload
    def result(self, timeout: float | None = None, *, follow: bool) -> R_co | None: ...
    def result(self, timeout: float | None = None, follow: bool = True) -> R_co | None:
        """Wait for the end of the instance, and return the orchestrator's result in its type.

        `timeout` in seconds, None: for ever. With `follow=False`, None is returned as soon as the execution has
        continued as new. Raises `OrchestrationFailed`, `OrchestrationTerminated`, `OrchestrationCanceled`,
        `TimeoutError`, `InstanceNotFound` (also when it is purged meanwhile), `StoreUnavailable`.
        """
        return self._loop.run(lambda: self._handle.result(timeout, follow=follow))

    def cancel(self, reason: str = "") -> None:
        """Ask the instance to end, as `Client.cancel` does. Raises `InstanceNotFound`, `InstanceFinished`."""
        self._loop.run(lambda: self._handle.cancel(reason))

    def __repr__(self) -> str:
        return f"Handle({self.instance_id!r})"
