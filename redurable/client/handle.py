"""A started instance, and the wait for its result."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar, overload
from uuid import uuid4

import anyio

from redurable.authoring.payloads import Codec
from redurable.client.changes import Changes
from redurable.client.link import Link
from redurable.client.status import failure_in
from redurable.core.events import ExecutionCompleted
from redurable.core.messages import Cancel
from redurable.core.values import RuntimeStatus
from redurable.errors import (
    ExecutionTimedOut,
    HistoryLimitExceeded,
    InstanceNotFound,
    OrchestrationCanceled,
    OrchestrationFailed,
    OrchestrationTerminated,
    StoreRefused,
)
from redurable.store.inspect import Snapshot

R_co = TypeVar("R_co", covariant=True)

_ENDS = {
    RuntimeStatus.FAILED: (OrchestrationFailed, "failed"),
    RuntimeStatus.CANCELED: (OrchestrationCanceled, "was cancelled"),
    RuntimeStatus.TERMINATED: (OrchestrationTerminated, "was terminated"),
}
_LIMITS = {kind.__name__: kind for kind in (ExecutionTimedOut, HistoryLimitExceeded)}


class Handle(Generic[R_co]):
    """An instance and the type of its result. `execution` is empty when the instance was there before."""

    def __init__(self, link: Link, changes: Changes, instance_id: str, execution: str, result: Codec) -> None:
        self.instance_id = instance_id
        self.execution = execution
        self._link = link
        self._changes = changes
        self._result = result

    @overload
    async def result(self, timeout: float | None = None, follow: Literal[True] = True) -> R_co: ...
    @overload
    async def result(self, timeout: float | None = None, *, follow: bool) -> R_co | None: ...
    async def result(self, timeout: float | None = None, follow: bool = True) -> R_co | None:
        """Wait for the end of the instance, and return the orchestrator's result in its type.

        `timeout` in seconds, None: for ever. With `follow=False`, None is returned as soon as the execution has
        continued as new. Raises `OrchestrationFailed`, `OrchestrationTerminated`, `OrchestrationCanceled`,
        `TimeoutError`, `InstanceNotFound` (also when it is purged meanwhile), `StoreUnavailable`.
        """
        with anyio.move_on_after(timeout):
            snapshot = await self._end(follow)
            return None if snapshot is None else self._conclude(snapshot)
        raise TimeoutError(f"instance {self.instance_id!r} has not finished within {timeout} s")

    async def cancel(self, reason: str = "") -> None:
        """Ask the instance to end, as `Client.cancel` does. Raises `InstanceNotFound`, `InstanceFinished`."""
        await self._link.control(self.instance_id, Cancel(reason=reason, id=uuid4().hex))

    async def _end(self, follow: bool) -> Snapshot | None:
        """The finished instance; None when its execution has continued as new and is not followed."""
        execution, created = self.execution, 0
        async with self._changes.watch(self.instance_id) as watch:
            while True:
                snapshot = await self._link.snapshot(self.instance_id)
                if execution and snapshot.execution != execution:
                    # Of many executions only some are kept: those that were looked at before may be forgotten.
                    if snapshot.created_at != created:
                        await self._check_continued(execution)
                    if not follow:
                        return None
                execution, created = snapshot.execution, snapshot.created_at
                if snapshot.status.finished:
                    return snapshot
                await watch.wait()

    async def _check_continued(self, execution: str) -> None:
        executions = await self._link.call(lambda: self._link.store.executions(self.instance_id))
        if execution not in executions:
            raise InstanceNotFound(
                f"execution {execution!r} of instance {self.instance_id!r} is gone: "
                "the instance was purged or replaced, and the id is in use again"
            )

    def _conclude(self, snapshot: Snapshot) -> Any:
        last = snapshot.last
        if isinstance(last, ExecutionCompleted):
            return self._result.decode(last.result)
        failure = failure_in(last)
        if failure is None or snapshot.status not in _ENDS:
            raise StoreRefused(
                f"instance {self.instance_id!r} is {snapshot.status}, but its history ends with {type(last).__name__}: "
                "it was written by another version or damaged"
            )
        error, verb = _ENDS[snapshot.status]
        what = f"{snapshot.name} {verb} (instance {self.instance_id!r})"
        reason = f"{failure.type}: {failure.message}" if error is OrchestrationFailed else failure.message
        if error is OrchestrationFailed and not failure.stack:  # Said by the runtime, not by user code.
            error = _LIMITS.get(failure.type, error)
        raise error(self.instance_id, f"{what}: {reason}" if reason else what, failure)

    def __repr__(self) -> str:
        return f"Handle({self.instance_id!r})"
