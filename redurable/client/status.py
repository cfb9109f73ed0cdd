"""What a client is told about an instance."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec import Raw

from redurable.authoring.payloads import decode_any
from redurable.client.attempts import PendingActivity
from redurable.client.moments import moment
from redurable.core.events import (
    Event,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionTerminated,
    HistoryRow,
)
from redurable.core.settle import CANCELED, TERMINATED
from redurable.core.values import ABSENT, Arguments, Failure, RuntimeStatus
from redurable.store.inspect import Snapshot


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """Why an instance takes no turns now, beside its runtime status. It never fails because of that.

    `reason`: "nondeterminism" (code and history disagree), "unknown orchestrator" (no worker knows it), "poison" (its
    turns kill their workers), "unreadable" (what is stored of it is damaged), or "engine error". `since`: when it came
    so; `tries`: how often it was tried in a row (a redrive begins the count anew); `next_try`: None when it waits for
    `redrive`.
    For a nondeterminism: `position` counts the events of the history from 0, `expected` is the event there, `asked` the
    command of the code (empty: there is none), `place` the source line that asked.
    """

    reason: str
    detail: str
    since: datetime
    tries: int
    next_try: datetime | None
    position: int | None = None
    expected: str = ""
    asked: str = ""
    place: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Status:
    """An instance at a moment.

    `input`, `output`, `custom_status` and `memo` are plain JSON values; several inputs are a dict of `args` and
    `kwargs`. What JSON allows and Python's reader does not, such as a number of 5,000 digits, is shown as its text.
    `failure` says why the instance failed, was canceled or terminated. `execution` is the id of the current execution.
    `unread_events` says how many external events of each name the orchestrator has not taken; `awaited_events`, of
    the names that it waits for, since when. `unread_mail` counts messages that no turn has read yet. `quarantined`
    says why no worker can take a turn now (None: nothing is wrong). `history` holds the events of the current
    execution, and the rows of its activities' attempts, and `pending_activities` the calls without outcome, when they
    were asked for.
    """

    instance_id: str
    name: str
    runtime_status: RuntimeStatus
    created_at: datetime
    last_updated_at: datetime
    execution: str
    input: Any = None
    output: Any = None
    failure: Failure | None = None
    custom_status: Any = None
    parent_instance_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])
    memo: Any = None
    unread_events: dict[str, int] = field(default_factory=dict[str, int])
    awaited_events: dict[str, datetime] = field(default_factory=dict[str, datetime])
    unread_mail: int = 0
    quarantined: Quarantine | None = None
    history: list[HistoryRow] | None = None
    pending_activities: list[PendingActivity] | None = None


def status_of(
    snapshot: Snapshot, history: list[HistoryRow] | None, pending: list[PendingActivity] | None = None
) -> Status:
    """A snapshot in the user's terms."""
    begun = snapshot.first or snapshot.start
    call: Arguments | None = getattr(begun, "call", None)
    last, custom = snapshot.last, snapshot.custom_status
    return Status(
        instance_id=snapshot.instance,
        name=snapshot.name,
        runtime_status=snapshot.status,
        created_at=moment(snapshot.created_at),
        last_updated_at=moment(snapshot.updated_at),
        execution=snapshot.execution,
        input=None if call is None else _inputs(call),
        output=_shown(last.result) if isinstance(last, ExecutionCompleted) else None,
        failure=failure_in(last),
        custom_status=None if custom is None else _shown(custom),
        parent_instance_id=snapshot.parent.instance if snapshot.parent else None,
        tags=snapshot.tags,
        memo=None if snapshot.memo is ABSENT else _shown(snapshot.memo),
        unread_events={name: depth for name, depth in snapshot.unread_events.items() if depth > 0},
        awaited_events={name: moment(-depth) for name, depth in snapshot.unread_events.items() if depth < 0},
        unread_mail=snapshot.unread,
        quarantined=_quarantine_of(snapshot),
        history=history,
        pending_activities=pending,
    )


def _quarantine_of(snapshot: Snapshot) -> Quarantine | None:
    mark = snapshot.quarantined
    if mark is None:
        return None
    parted = mark.difference
    return Quarantine(
        reason=mark.reason,
        detail=mark.detail,
        since=moment(mark.since),
        tries=snapshot.parks,
        next_try=None if snapshot.held else moment(snapshot.parked_until or snapshot.updated_at),
        position=parted.position if parted else None,
        expected=parted.expected if parted else "",
        asked=parted.asked if parted else "",
        place=parted.place if parted else "",
    )


def failure_in(last: Event | None) -> Failure | None:
    """Why an execution ended as it did, when it did not complete."""
    match last:
        case ExecutionFailed(failure=failure):
            return failure
        case ExecutionTerminated(reason=reason):
            return Failure(TERMINATED, reason)
        case ExecutionCanceled(reason=reason):
            return Failure(CANCELED, reason)
        case _:
            return None


def _inputs(call: Arguments) -> Any:
    if call.input is not ABSENT:
        return _shown(call.input)
    if not call.args and not call.kwargs:
        return None
    return {
        "args": [_shown(payload) for payload in call.args],
        "kwargs": {name: _shown(payload) for name, payload in call.kwargs.items()},
    }


def _shown(payload: Raw) -> Any:
    """A payload's value; or its text where it has none, so that it does not hide the rest."""
    try:
        return decode_any(payload)
    except ValueError:
        return bytes(payload).decode(errors="replace")
