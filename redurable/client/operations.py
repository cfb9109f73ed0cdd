"""What a client does to instances beside talking to them: end, hold, rewind, restart and reset them; one or many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Unpack
from uuid import uuid4

from redurable.authoring.payloads import Codec
from redurable.client.bulk import AT_ONCE, PAGE, BulkProgress, Operation, Tally, statuses_for, together
from redurable.client.changes import Changes
from redurable.client.changing import change
from redurable.client.handle import Handle
from redurable.client.link import Link
from redurable.client.queries import InstanceFilters, Queries
from redurable.core.delivery import Delivery, TurnCommit
from redurable.core.events import Event, ExecutionStarted
from redurable.core.ids import check_instance_id
from redurable.core.messages import Cancel, Resume, StartExecution, Suspend, Terminate
from redurable.core.places import before
from redurable.core.rewinding import reset, rewind
from redurable.core.state import State
from redurable.core.values import RuntimeStatus
from redurable.errors import InstanceAlreadyExists, InstanceNotFailed, InstanceNotFinished
from redurable.store.port import StartOutcome, StartRequest


class Operations(Queries):
    """What a client can do to instances."""

    @property
    def _connection(self) -> tuple[Link, Changes]:
        raise NotImplementedError

    async def terminate(self, instance_id: str, reason: str = "") -> None:
        """End an instance at once, without running its code. Raises `InstanceNotFound`, `InstanceFinished`."""
        await self._link.control(instance_id, Terminate(reason=reason))

    async def cancel(self, instance_id: str, reason: str = "") -> None:
        """Ask an instance to end: its orchestrator is cancelled at its next await, and its own code cleans up. Once it
        lets the `CancelledError` out, the status is Canceled. Raises `InstanceNotFound`, `InstanceFinished`."""
        await self._link.control(instance_id, Cancel(reason=reason, id=uuid4().hex))

    async def suspend(self, instance_id: str, reason: str = "") -> None:
        """Let an instance only record what arrives, until `resume`. Raises `InstanceNotFound`, `InstanceFinished`."""
        await self._link.control(instance_id, Suspend(reason=reason))

    async def resume(self, instance_id: str, reason: str = "") -> None:
        """Let a suspended instance go on. Raises `InstanceNotFound`, `InstanceFinished`."""
        await self._link.control(instance_id, Resume(reason=reason))

    async def rewind(self, instance_id: str, reason: str = "") -> None:
        """Let a failed instance go on from before its failure: the calls whose failures led to it run again, with all
        their attempts, and its sub-orchestrations that did not complete are rewound, too; what completed is kept.

        When this returns, the instance is Running. What it goes on as is another execution; the history of the one that
        failed stays. Raises `InstanceNotFound`, `InstanceNotFailed`, `InvalidPayload` for a reason that is too long.
        """
        self._link.check_reason("rewind()", reason)

        def decide(delivery: Delivery, head: str) -> TurnCommit:
            status = delivery.status or RuntimeStatus.PENDING
            if status is not RuntimeStatus.FAILED:
                raise InstanceNotFailed(
                    f"instance {instance_id!r} is {status}: only one that has failed can be rewound; reset goes back "
                    "to any event of a history, and restart begins anew",
                    status,
                )
            return rewind(delivery, head, reason)

        await change(self._link, check_instance_id(instance_id), decide)

    async def reset(self, instance_id: str, to_event: int, reason: str = "", *, keep_events: bool = True) -> None:
        """Let an instance, running or finished, go back to before an event of its history, as another execution.

        `to_event` is the event's position in the history of the current execution, from 0 (rows of attempts are not
        counted): it and all that follows is dropped. It must be one that the orchestrator was told, such as
        `ActivityCompleted`, not one that it decided. Calls that were open there run again; external events that came
        later are raised again, unless told otherwise; sub-orchestrations that were started later and still run end as
        their `parent_close` says. When this returns, the instance is Running.

        Raises `InvalidPosition`, which names the nearest positions, `InstanceNotFound`, and `InvalidPayload` for a
        reason that is too long.
        """
        self._link.check_reason("reset()", reason)

        def decide(delivery: Delivery, head: str) -> TurnCommit:
            return reset(delivery, head, before(delivery.events, to_event, keep_events, instance_id), reason)

        await change(self._link, check_instance_id(instance_id), decide)

    async def restart(self, instance_id: str, *, as_new: bool | str = False) -> Handle[Any]:
        """Start an instance anew, as it was started first: the same orchestrator, inputs, tags, memo and time limit.

        Under the same id it must have finished, and is replaced; `as_new` leaves it alone, and starts another one under
        this id, or under a new one (True). A sub-orchestration that is restarted is nobody's child. Raises
        `InstanceNotFound`, `InstanceNotFinished`, and `InstanceAlreadyExists` for an id that is taken.
        """
        link, changes = self._connection
        message = await self._start_of(check_instance_id(instance_id), replaced=not as_new)
        chosen = check_instance_id(as_new) if isinstance(as_new, str) else uuid4().hex if as_new else instance_id
        request = StartRequest(chosen, message, "fail" if as_new else "replace-finished")
        outcome = await link.call(lambda: link.store.start(request))
        if outcome is StartOutcome.REFUSED and as_new:
            raise InstanceAlreadyExists(f"instance {chosen!r} exists in hub {link.store.hub!r}: choose another id")
        if outcome is StartOutcome.REFUSED:
            raise _not_finished(instance_id)
        result = Codec(f"instance {chosen!r}", "result", lambda: object)
        return Handle(link, changes, chosen, message.execution, result)

    async def bulk(
        self, operation: Operation, *, reason: str = "", dry_run: bool = False, **filters: Unpack[InstanceFilters]
    ) -> AsyncIterator[BulkProgress]:
        """Do an operation on all instances to which the filters apply and that it is for: "terminate", "cancel",
        "suspend", "resume", "rewind", "restart" (under the same id) or "purge". `reason` is for all but the last two.

        The newest come first, 20 at the same time, and progress is told after each; the last value holds the totals.
        An instance that changed meanwhile, so that there is nothing to do, is left alone; an error of one does not stop
        the others. Whoever breaks off may call it again. A `dry_run` only says which ones it would be.
        Raises `InvalidFilter`, also for a status of instances that the operation is not for.
        """
        status = filters.get("status", ())
        asked = (status,) if isinstance(status, str) else tuple(status)
        filters["status"] = statuses_for(operation, asked)
        act, tally, continuation = self._act(operation, reason), Tally(dry_run), ""
        while True:
            page = await self.list_page(limit=PAGE, continuation=continuation, **filters)
            found = [found.instance_id for found in page.instances]
            for at in range(0, len(found), AT_ONCE):
                some = found[at : at + AT_ONCE]
                ends = [(one, None) for one in some] if dry_run else await together(some, act)
                for instance, error in ends:
                    yield tally.add(instance, error)
            continuation = page.continuation
            if not continuation:
                yield tally.total()
                return

    def _act(self, operation: Operation, reason: str) -> Callable[[str], Awaitable[object]]:
        match operation:
            case "terminate":
                return lambda instance: self.terminate(instance, reason)
            case "cancel":
                return lambda instance: self.cancel(instance, reason)
            case "suspend":
                return lambda instance: self.suspend(instance, reason)
            case "resume":
                return lambda instance: self.resume(instance, reason)
            case "rewind":
                return lambda instance: self.rewind(instance, reason)
            case "restart":
                return self.restart
            case "purge":
                return self.purge

    async def _start_of(self, instance: str, replaced: bool) -> StartExecution:
        """The start message of a restart. An instance that takes the place of the old one numbers its calls behind
        those of that one: the ids of children that come from these numbers are not taken."""
        link = self._link
        snapshot = await link.snapshot(instance)
        if replaced and not snapshot.status.finished:
            raise _not_finished(instance)
        executions = await link.call(lambda: link.store.executions(instance))
        first = await link.call(lambda: link.store.history(instance, executions[0] if executions else "", 0, 1))
        begun = first[0] if first else snapshot.start
        if not isinstance(begun, ExecutionStarted | StartExecution):
            raise link.not_found(instance)  # It was purged meanwhile.
        if isinstance(begun, ExecutionStarted):
            limit = begun.deadline - begun.at if begun.deadline else 0
        else:
            limit = begun.execution_timeout
        events = await link.history(instance, snapshot.execution) if replaced else []
        return StartExecution(
            execution=uuid4().hex,
            name=begun.name,
            call=begun.call,
            tags=begun.tags,
            memo=begun.memo,
            execution_timeout=limit,
            first_seq=_next_seq(events),
        )


def _next_seq(events: Sequence[Event]) -> int:
    state = State()
    state.fold(events)
    return state.next_seq


def _not_finished(instance: str) -> InstanceNotFinished:
    return InstanceNotFinished(
        f"instance {instance!r} has not finished, or a parent that was rewound has asked it to go on: wait, "
        "terminate it, or restart it as a new one (as_new=True)"
    )
