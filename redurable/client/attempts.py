"""Attempts of activities as a client sees them: where those of an instance stand, and their completion by token."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from redurable.authoring.failures import failure_of, retry_after_of
from redurable.client.link import Link
from redurable.client.moments import moment
from redurable.core.completion import LATE, Completion
from redurable.core.events import ActivityScheduled, Event
from redurable.core.retry import names_of
from redurable.core.state import State
from redurable.core.tokens import Token, read_token
from redurable.core.values import Failure
from redurable.errors import AttemptNotFound, InvalidToken
from redurable.store.inspect import Underway

PendingState = Literal["queued", "running", "retrying", "handed-over", "unknown"]


@dataclass(frozen=True, kw_only=True)
class PendingActivity:
    """A call of an activity that has no outcome yet.

    `number` is that of the call in its instance. `state`: "queued" (it waits for a worker), "running" (`worker` has
    it), "retrying" (the next attempt waits until `next_attempt_at`), "handed-over" (it is completed by token), or
    "unknown": its outcome is on its way, or its task lies behind 1,000 others in its queue. `attempt` is the one that
    waits or runs, from 1; `last_failure` says how the one before it ended, as far as it failed.
    """

    number: int
    name: str
    task_queue: str
    scheduled_at: datetime
    state: PendingState = "unknown"
    attempt: int | None = None
    last_failure: Failure | None = None
    next_attempt_at: datetime | None = None
    worker: str | None = None


def open_calls(events: Sequence[Event]) -> list[ActivityScheduled]:
    """The calls of activities without outcome, in the order in which they were made."""
    state = State()
    state.fold(events)
    return [made for made in state.open.values() if isinstance(made, ActivityScheduled) and state.ended is None]


async def pending_activities(
    link: Link, instance: str, execution: str, events: Sequence[Event]
) -> list[PendingActivity]:
    """Where the open calls of this history stand now. Reads the store once for each."""
    calls = open_calls(events)
    asked = [(call.seq, call.task_queue) for call in calls]
    there = await link.call(lambda: link.store.underway(instance, execution, asked)) if asked else []
    return [_pending(call, underway) for call, underway in zip(calls, there, strict=True)]


def _pending(call: ActivityScheduled, there: Underway | None) -> PendingActivity:
    scheduled = moment(call.at)
    if there is None:
        return PendingActivity(number=call.seq, name=call.name, task_queue=call.task_queue, scheduled_at=scheduled)
    task, state = there.task, _state(there)
    return PendingActivity(
        number=call.seq,
        name=call.name,
        task_queue=call.task_queue,
        scheduled_at=scheduled,
        state=state,
        attempt=task.attempt,
        last_failure=task.log[-1].failure if task.log else None,
        next_attempt_at=moment(there.due) if state == "retrying" else None,
        worker=(task.held.worker if task.held else there.holder) or None,
    )


def _state(there: Underway) -> PendingState:
    if there.task.held is not None:
        return "handed-over"
    if there.due:
        return "retrying"
    return "running" if there.holder else "queued"


def token_of(link: Link, text: str) -> Token:
    """The token of this text, if it is one of this hub; else `InvalidToken`."""
    token = read_token(text)
    if token.hub != link.store.hub:
        raise InvalidToken(f"the token is of hub {token.hub!r}, and this is a client of hub {link.store.hub!r}")
    return token


def failed(token: Token, error: BaseException | Failure, retryable: bool) -> Completion:
    """That the attempt has failed so."""
    if isinstance(error, Failure):
        return Completion(token, failure=error, names=(error.type,), final=not retryable)
    return Completion(
        token,
        failure=failure_of(error),
        names=tuple(names_of(type(error))),
        final=not retryable,
        wait_ms=retry_after_of(error),
    )


async def settle(link: Link, said: Completion) -> None:
    """Say it; raises `AttemptNotFound`."""
    settled, repeated = await link.attempt(lambda: link.store.settle(said))
    # Whoever repeats it after a lost answer may be late because of itself.
    if not settled and not repeated:
        token = said.token
        raise AttemptNotFound(f"activity call {token.instance}:{token.execution}:{token.seq}: {LATE}")
