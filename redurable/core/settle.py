"""Step 3 of a turn: commands -> decision events, and what others must be told. A `Draft` gathers one turn's commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw

from redurable.core.commands import (
    CancelActivity,
    CancelExecution,
    CancelSubOrchestration,
    CancelTimer,
    Command,
    Complete,
    ContinueAsNew,
    CreateTimer,
    Fail,
    ScheduleActivity,
    ScheduleOrchestration,
    ScheduleSubOrchestration,
    SendEvent,
)
from redurable.core.delivery import DeadLetter, Delivery, Outgoing, Timer, TurnCommit
from redurable.core.events import (
    BEGINNINGS,
    ActivityCancelRequested,
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    DecisionEvent,
    Event,
    EventSent,
    ExecutionCanceled,
    ExecutionCancelRequested,
    ExecutionCompleted,
    ExecutionContinuedAsNew,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionTerminated,
    InputEvent,
    OrchestrationScheduled,
    SubOrchestrationCancelRequested,
    SubOrchestrationScheduled,
    TimerCanceled,
    TimerCreated,
)
from redurable.core.history_cap import DEFAULT_CAP, TOO_LONG, HistoryCap
from redurable.core.issued import Issued
from redurable.core.messages import (
    Cancel,
    KeptEvent,
    RaiseEvent,
    StartExecution,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Terminate,
)
from redurable.core.state import DEADLINE, State
from redurable.core.traces import continued
from redurable.core.trail import Over, Trail
from redurable.core.values import Failure, Parent, ParentClose, Task

TIMED_OUT = Failure("ExecutionTimedOut", "the orchestration did not end within its execution_timeout")
"""Why an execution failed whose deadline has come."""

TERMINATED = "OrchestrationTerminated"
"""The type of the failure that the parent of a terminated sub-orchestration sees."""
CANCELED = "OrchestrationCanceled"
"""The same of a cancelled one."""
PARENT_ENDED = "its parent has ended"
"""Why a child is terminated or cancelled by its parent's close policy."""
PARENT_CANCELED = "its parent cancelled the call"

TAKEN = "InstanceAlreadyExists"
"""The type of the failure that the parent of a sub-orchestration sees whose instance id is taken."""


class Draft:
    """What a turn has decided so far. `state` follows every event at once."""

    def __init__(self, delivery: Delivery, state: State, head: str, cap: HistoryCap = DEFAULT_CAP) -> None:
        self.delivery = delivery
        self.state = state
        self.head = head
        self.cap = cap
        self.decided = 0
        self.instance = delivery.entry.instance
        self.consumed = ""
        self.events: list[Event] = []
        self.tasks: dict[int, Task] = {}
        self.timers: dict[int, int] = {}
        self.canceled_timers: list[int] = []
        self.closed_calls: list[int] = []
        self.canceled_calls: list[int] = []
        self.outbox: list[Outgoing] = []
        self.dead: list[DeadLetter] = []
        self.custom_status: Raw | None = None
        self.next: StartExecution | None = None
        self.unread: dict[str, int] | None = None
        self.trail = Trail.of(state.started)

    def record(self, event: InputEvent) -> InputEvent:
        """An input event was admitted; return it as it is written: it says when the history has become long."""
        state = self.state
        if not state.long and self.cap.is_near(state.length, state.size):
            event = msgspec.structs.replace(event, long=True)
        if isinstance(event, ActivityCompleted | ActivityFailed):
            self._close_call(event.seq)
        self._append(event)
        if isinstance(event, ExecutionTerminated):
            self._end(_report_failure(Failure(TERMINATED, event.reason)))
        elif isinstance(event, ExecutionStarted):
            self.trail = Trail.of(event)
            if event.deadline:
                self.timers[DEADLINE] = event.deadline
        return event

    def expire(self, now: int) -> None:
        """The execution has run out of its time: it has failed, whatever its code thinks of that."""
        self._fail(TIMED_OUT, max(now, self.state.started.deadline if self.state.started else 0))

    def refuse(self) -> None:
        """Drop all that the turn decided, if that makes the history longer than it may be: then the execution has
        failed instead. Nothing of a history is ever left out. What ends it from outside is not refused."""
        state, ended = self.state, self.state.ended
        from_outside = isinstance(ended, ExecutionTerminated) or getattr(ended, "failure", None) is TIMED_OUT
        if from_outside or not self.cap.is_passed(state.length, state.size):
            return
        text = (
            f"this turn makes a history of {state.length:,} events and about {state.size:,} bytes; max_history_events "
            f"is {self.cap.events:,} and max_history_bytes {self.cap.size:,}: call ctx.continue_as_new() in time, when "
            "ctx.continue_as_new_suggested is true"
        )
        for event in self.events:
            if isinstance(event, ActivityScheduled | SubOrchestrationScheduled):
                state.open.pop(event.seq, None)  # It never was.
        self.events = [event for event in self.events if isinstance(event, BEGINNINGS)]
        # Its children hear of what they were told to end.
        kept = [sent for sent in self.outbox if isinstance(sent.message, Cancel)]
        self.tasks, self.outbox, self.next, self.custom_status = {}, kept, None, None
        if self.trail is not None:
            self.trail.forget()
        self.dead, self.consumed, self.unread = [], "", None
        self._fail(Failure(TOO_LONG, text), state.clock)

    def cancel_unbegun(self, reason: str) -> None:
        """End an execution that has run no user code yet."""
        self._append(self._conclude(CancelExecution(reason), self.state.clock, lambda: ()))

    def settle(
        self, issued: Sequence[Issued], unread: Callable[[], tuple[KeptEvent, ...]], bind: Callable[[int, Issued], None]
    ) -> None:
        """Number the commands of a step, write their events and note what follows from them."""
        self.decided += len(issued)
        for item in issued:
            event = self._decide(item.command, unread)
            self._append(event)
            bind(getattr(event, "seq", 0), item)

    def hand_on(self, unheard: ExecutionCancelRequested | None) -> None:
        """A request that came too late for this execution is one for the next, if there is a next one."""
        if unheard is not None and self.next is not None:
            message = Cancel(reason=unheard.reason, id=f"{self.state.execution}:cancel")
            self.outbox.append(Outgoing(self.instance, message))

    def over(self) -> tuple[Over, ...]:
        """The timers and children that were over with this turn, if the execution belongs to a trace."""
        return () if self.trail is None else tuple(self.trail.over(self.state.open if self.state.ended else {}))

    def commit(self) -> TurnCommit:
        """The turn's commit; its last event carries the head, so that a cached position can be recognised."""
        if self.events:
            self.events[-1] = msgspec.structs.replace(self.events[-1], commit=self.head)
            self.state.tip = self.head
        return TurnCommit(
            entry=self.delivery.entry,
            expected=self.delivery.head,
            head=self.head,
            execution=self.delivery.execution,
            name=self.delivery.name,
            consumed=self.consumed,
            start_consumed=self.delivery.start is not None,
            events=tuple(self.events),
            status=self.state.status if self.events else None,
            tasks=tuple(self.tasks.values()),
            timers=tuple([Timer(seq, due) for seq, due in self.timers.items()]) if self.timers else (),
            canceled_timers=tuple(self.canceled_timers),
            closed_calls=tuple(self.closed_calls),
            canceled_calls=tuple(self.canceled_calls),
            outbox=tuple(self.outbox),
            dead=tuple(self.dead),
            custom_status=self.custom_status,
            next=self.next,
            unread=self.unread,
            heard=self.delivery.heard,
        )

    def _append(self, event: Event) -> None:
        self.events.append(event)
        if self.trail is not None:
            self.trail.note(event, self.state.open)
        self.state.apply(event)

    def _decide(self, command: Command, unread: Callable[[], tuple[KeptEvent, ...]]) -> DecisionEvent:
        at, seq = self.state.clock, self.state.next_seq
        match command:
            case ScheduleActivity():
                return self._schedule(command, at, seq)
            case CreateTimer(due=due):
                self.timers[seq] = due
                return TimerCreated(at=at, seq=seq, due=due)
            case CancelTimer():
                self._cancel_timer(command.seq)
                return TimerCanceled(at=at, seq=command.seq)
            case ScheduleSubOrchestration():
                return self._schedule_child(command, at, seq)
            case CancelActivity(seq=canceled):
                self._cancel_call(canceled)
                return ActivityCancelRequested(at=at, seq=canceled)
            case CancelSubOrchestration(seq=canceled):
                self._close_child(canceled, ParentClose.CANCEL, PARENT_CANCELED)
                return SubOrchestrationCancelRequested(at=at, seq=canceled)
            case ScheduleOrchestration():
                return self._schedule_detached(command, at, seq)
            case SendEvent():
                return self._send(command, at, seq)
            case _:
                return self._conclude(command, at, unread)

    def _schedule(self, command: ScheduleActivity, at: int, seq: int) -> DecisionEvent:
        options = command.options
        self.tasks[seq] = Task(
            instance=self.instance,
            execution=self.state.execution,
            seq=seq,
            name=command.name,
            call=command.call,
            options=options,
            scheduled_at=at,
            trace=self.trail.trace if self.trail else None,
        )
        return ActivityScheduled(
            at=at,
            seq=seq,
            name=command.name,
            call=command.call,
            task_queue=options.task_queue,
            timeouts=options.timeouts,
            retry=options.retry,
        )

    def _send(self, command: SendEvent, at: int, seq: int) -> DecisionEvent:
        trace = self.trail.call(seq) if self.trail else None
        message = RaiseEvent(name=command.name, data=command.data, id=f"{self.state.execution}:{seq}", trace=trace)
        self.outbox.append(Outgoing(command.instance, message))
        return EventSent(at=at, seq=seq, instance=command.instance, name=command.name, data=command.data)

    def _close_call(self, seq: int) -> None:
        made = self.state.open.get(seq)
        if isinstance(made, ActivityScheduled) and made.timeouts.durable:
            self.closed_calls.append(seq)

    def _cancel_call(self, seq: int) -> None:
        """Nobody waits for an activity any more: its retries that wait, and an attempt that somebody else was to
        complete, go too. A task of this very turn never comes into its queue."""
        if isinstance(self.state.open.get(seq), ActivityScheduled) and self.tasks.pop(seq, None) is None:
            self.closed_calls.append(seq)
            self.canceled_calls.append(seq)

    def _close_child(self, seq: int, how: ParentClose, reason: str) -> None:
        """Tell a child that runs even now. It is named by its call: another instance may have the id, or get it."""
        made = self.state.open.get(seq)
        if not isinstance(made, SubOrchestrationScheduled) or how is ParentClose.ABANDON:
            return
        parent = Parent(self.instance, self.state.execution, seq)
        message = Terminate(reason=reason, parent=parent)
        if how is ParentClose.CANCEL:
            message = Cancel(reason=reason, id=f"{parent.execution}:{seq}", parent=parent)
        self.outbox.append(Outgoing(made.instance, message))

    def _cancel_timer(self, seq: int) -> None:
        if self.timers.pop(seq, None) is None:
            self.canceled_timers.append(seq)

    def _schedule_child(self, command: ScheduleSubOrchestration, at: int, seq: int) -> DecisionEvent:
        instance = command.child.instance or f"{self.instance}:{seq}"
        taken = Failure(TAKEN, f"the sub-orchestration's instance id {instance!r} is taken")
        refusal = SubOrchestrationFailure(execution=self.state.execution, seq=seq, failure=taken)
        start = self._start_of(command, at, seq, Parent(self.instance, self.state.execution, seq))
        self.outbox.append(Outgoing(instance, start, (self.instance, refusal)))
        return SubOrchestrationScheduled(
            at=at,
            seq=seq,
            name=command.name,
            instance=instance,
            call=command.call,
            not_before=start.not_before,
            attempt=command.child.attempt,
            parent_close=command.child.parent_close,
            tags=command.child.tags,
            memo=command.child.memo,
            execution_timeout=command.child.execution_timeout,
        )

    def _schedule_detached(self, command: ScheduleOrchestration, at: int, seq: int) -> DecisionEvent:
        instance = command.child.instance or f"{self.instance}:{seq}"
        start = self._start_of(command, at, seq)
        self.outbox.append(Outgoing(instance, start))
        return OrchestrationScheduled(
            at=at, seq=seq, name=command.name, instance=instance, call=command.call, not_before=start.not_before
        )

    def _start_of(
        self,
        command: ScheduleSubOrchestration | ScheduleOrchestration,
        at: int,
        seq: int,
        parent: Parent | None = None,
    ) -> StartExecution:
        child = command.child
        return StartExecution(
            execution=f"{self.head}.{seq}",
            name=command.name,
            call=command.call,
            parent=parent,
            tags=child.tags,
            memo=child.memo,
            not_before=at + child.delay if child.delay else 0,
            execution_timeout=child.execution_timeout,
            trace=self.trail.call(seq) if self.trail else None,
        )

    def _conclude(
        self,
        command: Complete | Fail | CancelExecution | ContinueAsNew,
        at: int,
        unread: Callable[[], tuple[KeptEvent, ...]],
    ) -> DecisionEvent:
        match command:
            case Complete(result=result):
                self._end(
                    lambda parent: SubOrchestrationResult(execution=parent.execution, seq=parent.seq, result=result)
                )
                return ExecutionCompleted(at=at, result=result)
            case Fail(failure=failure, causes=causes):
                self._end(_report_failure(failure))
                return ExecutionFailed(at=at, failure=failure, causes=causes)
            case CancelExecution(reason=reason):
                self._end(_report_failure(Failure(CANCELED, reason)))
                return ExecutionCanceled(at=at, reason=reason)
            case ContinueAsNew():
                self._drop_calls()
                self.next = self._next_execution(command, unread() if command.keep_events else ())
                return ExecutionContinuedAsNew(at=at, call=command.call, next=self.next.execution)

    def _next_execution(self, command: ContinueAsNew, kept: tuple[KeptEvent, ...]) -> StartExecution:
        started = self.state.started
        assert started is not None
        # Seqs go on, so that derived instance ids and idempotency keys stay unique over all executions.
        return StartExecution(
            execution=f"{self.head}.n",
            name=started.name,
            call=command.call,
            parent=self.state.parent,
            tags=started.tags,
            memo=started.memo,
            number=started.number + 1,
            first_seq=self.state.next_seq,
            kept_events=kept,
            event_ids=self.state.carried_event_ids(),
            deadline=started.deadline,
            trace=continued(started.trace, started.execution),
        )

    def _fail(self, failure: Failure, at: int) -> None:
        self._append(ExecutionFailed(at=max(at, self.state.clock), failure=failure))
        self._end(_report_failure(failure))

    def _end(self, report: Callable[[Parent], SubOrchestrationResult | SubOrchestrationFailure]) -> None:
        self._drop_calls()
        for seq, made in self.state.open.items():
            if isinstance(made, SubOrchestrationScheduled):
                self._close_child(seq, made.parent_close, PARENT_ENDED)
        parent = self.state.parent
        if parent is not None:
            self.outbox.append(Outgoing(parent.instance, report(parent)))

    def _drop_calls(self) -> None:
        for seq in self.state.open_timers():
            self._cancel_timer(seq)
        if self.state.started is not None and self.state.started.deadline:
            self._cancel_timer(DEADLINE)
        for seq in self.state.open:
            self._cancel_call(seq)


def _report_failure(failure: Failure) -> Callable[[Parent], SubOrchestrationFailure]:
    return lambda parent: SubOrchestrationFailure(execution=parent.execution, seq=parent.seq, failure=failure)
