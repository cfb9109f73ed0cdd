"""What user code asked for in a turn, imperative: a closed union. `settle` gives a command its number."""

from __future__ import annotations

from msgspec import Raw, Struct

from redurable.core.values import ActivityOptions, Arguments, Child, Failure


class ScheduleActivity(Struct, frozen=True):
    name: str
    call: Arguments
    options: ActivityOptions = ActivityOptions()


class CancelActivity(Struct, frozen=True):
    """`seq` is the number of the call's own command."""

    seq: int


class CreateTimer(Struct, frozen=True):
    """`due` in milliseconds of the Unix epoch."""

    due: int


class CancelTimer(Struct, frozen=True):
    """`seq` is the number of the timer's own command."""

    seq: int


class ScheduleSubOrchestration(Struct, frozen=True):
    """Start a child and wait for it."""

    name: str
    call: Arguments
    child: Child = Child()


class CancelSubOrchestration(Struct, frozen=True):
    """`seq` is the number of the child's own command."""

    seq: int


class ScheduleOrchestration(Struct, frozen=True):
    """Start a detached child: nobody waits for it."""

    name: str
    call: Arguments
    child: Child = Child()


class SendEvent(Struct, frozen=True):
    instance: str
    name: str
    data: Raw


class Complete(Struct, frozen=True):
    result: Raw


class Fail(Struct, frozen=True):
    """`causes` are the numbers of the calls whose failures led to it."""

    failure: Failure
    causes: tuple[int, ...] = ()


class CancelExecution(Struct, frozen=True):
    """End as canceled: the orchestrator did what it was asked for."""

    reason: str


class ContinueAsNew(Struct, frozen=True):
    call: Arguments
    keep_events: bool = True


Command = (
    ScheduleActivity
    | CancelActivity
    | CreateTimer
    | CancelTimer
    | ScheduleSubOrchestration
    | CancelSubOrchestration
    | ScheduleOrchestration
    | SendEvent
    | Complete
    | Fail
    | CancelExecution
    | ContinueAsNew
)
