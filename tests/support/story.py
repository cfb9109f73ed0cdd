"""Given a history, when messages arrive, then a commit: take turns of one instance without any store.

Every turn is decided twice, by the cached replay and by a cold one, and both must agree.
"""

from __future__ import annotations

import asyncio
import itertools
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from msgspec import Raw

from redurable.core.codec import decode_event, decode_start, encode
from redurable.core.definition import Scope
from redurable.core.delivery import Delivery, Entry, Parking, TurnCommit
from redurable.core.events import Event, ExecutionCompleted, TimerCanceled, TimerCreated, TimerFired
from redurable.core.history_cap import HistoryCap
from redurable.core.known import Known
from redurable.core.messages import ActivityResult, Mail, Malformed, Message, RaiseEvent, StartExecution, TimerDue
from redurable.core.places import before
from redurable.core.recorded import Recorded, replay
from redurable.core.rewinding import reset, rewind
from redurable.core.sizes import UNLIMITED, Bounds
from redurable.core.turn import Turn, TurnInput, take_turn
from redurable.core.values import (
    ABSENT,
    ActivityOptions,
    Arguments,
    Child,
    Failure,
    ParentClose,
    RuntimeStatus,
    Task,
)

T = TypeVar("T")
T0 = 1_700_000_000_000
"""The moment at which every story begins, in milliseconds of the Unix epoch."""

PARKING = Parking(1_000, 60_000)

Body = Callable[["Ctx"], Coroutine[Any, Any, Any]]


def raw(text: str) -> Raw:
    """A payload."""
    return Raw(text.encode())


def text(payload: Raw) -> str:
    """What a payload says."""
    return bytes(payload).decode()


class Ctx:
    """The engine's scope with payloads as plain text: enough to write orchestrators for the engine's own tests."""

    def __init__(self, scope: Scope, call: Arguments) -> None:
        self.scope = scope
        self.input = text(call.input) if call.input is not ABSENT else ""

    def activity(self, name: str, given: str = "null") -> asyncio.Future[str]:
        return self.scope.call_activity(name, Arguments(input=raw(given)), ActivityOptions(), text)

    def child(
        self, name: str, given: str = "null", instance: str = "", close: ParentClose = ParentClose.TERMINATE
    ) -> asyncio.Future[str]:
        child = Child(instance, parent_close=close)
        return self.scope.call_sub_orchestrator(name, Arguments(input=raw(given)), child, text)

    def event(self, name: str) -> asyncio.Future[str]:
        return self.scope.wait_for_event(name, text)

    def timer(self, seconds: float) -> asyncio.Future[None]:
        return self.scope.create_timer(self.scope.clock + round(seconds * 1000))


class TextDefinition:
    """An orchestrator over `Ctx`."""

    def __init__(self, body: Body, name: str = "Story") -> None:
        self.body = body
        self.name = name

    async def run(self, scope: Scope, call: Arguments) -> Raw:
        return raw(str(await self.body(Ctx(scope, call))))

    def failure(self, error: BaseException) -> Failure:
        return Failure(type(error).__name__, str(error), "".join(traceback.format_exception(error)))


class Story:
    """One instance. `turn` takes a turn with the given messages and, when it is accepted, remembers the outcome.
    `ends_with_replay` is for tests that count what user code does beside its commands: they switch it off."""

    def __init__(self, body: Body | None, given: str = "null", instance: str = "story") -> None:
        self.definition = TextDefinition(body) if body else None
        self.instance = instance
        self.start: StartExecution | None = StartExecution(
            name="Story", execution="x1", call=Arguments(input=raw(given)), tags={"t": "1"}
        )
        self.history: list[Event] = []
        self.past: list[list[Event]] = []
        self.execution = "x1"
        self.status = RuntimeStatus.PENDING
        self.head: str = ""
        self.known: Known | None = None
        self.now = T0
        self.notes: tuple[str, ...] = ()
        self.parks = 0
        self.parked_until = 0
        self.unread: dict[str, int] = {}
        self.max_payload = UNLIMITED
        self.max_turn = UNLIMITED
        self.cap = HistoryCap()
        self.ends_with_replay = True
        self._control: Mail | None = None
        self._heads = itertools.count(1)
        self._ids = itertools.count(1)

    def turn(self, *messages: Message | Malformed, after: float = 0.0, control: Message | None = None) -> TurnCommit:
        """Take a turn `after` seconds, warm; check that a cold replay decides the same, and at its end that the
        whole history can be replayed. `control` lies behind the page of messages."""
        self.now += round(after * 1000)
        self._control = None if control is None else Mail(f"{self.now}-{10**6}", control)
        mails = tuple(Mail(f"{self.now}-{next(self._ids)}", message) for message in messages)
        head = f"head{next(self._heads)}"
        cold = self._take(None, mails, head)
        if cold.known:
            cold.known.evict()
        warm = self._take(self.known, mails, head)
        assert _shown(warm.commit) == _shown(cold.commit)
        self.known, self.notes = warm.known, warm.notes
        self._accept(warm.commit)
        if self.ends_with_replay and self.definition and self.status and self.status.finished and warm.commit.events:
            replay(self.definition, Recorded(self.instance, self.execution, tuple(self.history)))
        return warm.commit

    def play(self, *, events: Sequence[RaiseEvent] = (), rounds: int = 200) -> str:
        """Run to the end and return the result: every activity returns its input, one outcome a turn in the order of
        scheduling; `events` are raised one by one when nothing else is left; then timers fire in the order of their due
        times. The cached replay is dropped every third turn."""
        waiting = deque(self.turn().tasks)
        left = deque(events)
        for number in range(rounds):
            if self.status.finished:
                return self.result()
            if number % 3 == 2:
                self.forget()
            waiting.extend(self.turn(self._next(waiting, left)).tasks)
        raise AssertionError(f"not finished after {rounds} turns: {self.kinds()}")

    def rewind(self, reason: str = "") -> TurnCommit:
        """A client rewinds it."""
        return self._change(lambda delivery, head: rewind(delivery, head, reason))

    def reset(self, position: int, reason: str = "", keep_events: bool = True) -> TurnCommit:
        """A client resets it."""
        place = before(self.history, position, keep_events, self.instance)
        return self._change(lambda delivery, head: reset(delivery, head, place, reason))

    def _change(self, decide: Callable[[Delivery, str], TurnCommit]) -> TurnCommit:
        self.forget()
        commit = decide(self._delivery(None, ()), f"head{next(self._heads)}")
        self._accept(commit)
        return commit

    def result(self) -> str:
        """What the completed execution returned."""
        end = self.history[-1]
        assert isinstance(end, ExecutionCompleted), end
        return text(end.result)

    def _next(self, waiting: deque[Task], left: deque[RaiseEvent]) -> Message:
        if waiting:
            task = waiting.popleft()
            return ActivityResult(execution=task.execution, seq=task.seq, result=task.call.input)
        if left:
            return left.popleft()
        gone = {event.seq for event in self.history if isinstance(event, (TimerFired, TimerCanceled))}
        timers = [e for e in self.history if isinstance(e, TimerCreated) and e.seq not in gone]
        assert timers, f"nothing is left to happen: {self.kinds()}"
        return self.due(min(timers, key=lambda timer: (timer.due, timer.seq)).seq)

    def forget(self) -> None:
        """The worker drops its cached replay."""
        if self.known:
            self.known.evict()
        self.known = None

    def due(self, seq: int) -> TimerDue:
        """The message that timer `seq` sends when it is due; moves the clock there."""
        made = next(e for e in self.history if isinstance(e, TimerCreated) and e.seq == seq)
        self.now = max(self.now, made.due)
        return TimerDue(execution=self.execution, seq=seq, due=made.due)

    def kinds(self) -> list[str]:
        """The names of the history's events."""
        return [type(event).__name__ for event in self.history]

    def _take(self, known: Known | None, mails: tuple[Mail, ...], head: str) -> Turn:
        bounds = Bounds(self.max_payload, self.max_turn)
        delivery = self._delivery(known, mails)
        return take_turn(self.definition, TurnInput(delivery, known, head, "3.11", PARKING, bounds, self.cap))

    def _delivery(self, known: Known | None, mails: tuple[Mail, ...]) -> Delivery:
        return Delivery(
            entry=Entry(0, "1-1", self.instance),
            now=self.now,
            head=self.head,
            status=self.status,
            name="Story",
            execution=self.execution,
            announced="1-1",
            parks=self.parks,
            start=decode_start(encode(self.start)) if self.start else None,
            mails=mails,
            base=known.state.length if known else 0,
            events=() if known else tuple(decode_event(encode(event)) for event in self.history),
            parked_until=self.parked_until,
            unread=self.unread,
            heard=self._control.id if self._control else "",
            control=self._control,
        )

    def _accept(self, commit: TurnCommit) -> None:
        assert commit.expected == self.head
        self.head = commit.head
        if commit.park:
            self.parks += 1
            return
        self.unread = self.unread if commit.unread is None else commit.unread
        self.history.extend(commit.events)
        self.status = commit.status or self.status
        if commit.start_consumed:
            self.start = None
        if commit.next:
            self.past.append(self.history)
            kept = [commit.kept.first, *self.history[1 : commit.kept.count]] if commit.kept else []
            self.history, self.start, self.execution = kept, commit.next, commit.next.execution


def _shown(commit: TurnCommit) -> Any:
    """A commit without the texts of stack traces, which name the frames of the engine that ran it."""
    events = [(type(event).__name__, b"" if hasattr(event, "failure") else encode(event)) for event in commit.events]
    gone = commit.canceled_timers, commit.closed_calls, commit.canceled_calls
    said = commit.status, commit.unread
    return events, commit.tasks, commit.timers, gone, commit.outbox, said, commit.consumed, commit.park
