"""The engine as running code sees it: every call records a command and hands out a future of the deterministic loop."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from msgspec import Raw

from redurable.core.commands import (
    CancelActivity,
    CancelSubOrchestration,
    CancelTimer,
    Command,
    ContinueAsNew,
    CreateTimer,
    ScheduleActivity,
    ScheduleOrchestration,
    ScheduleSubOrchestration,
    SendEvent,
)
from redurable.core.events import ExecutionStarted
from redurable.core.ids import MAX_INSTANCE_ID_BYTES, check_instance_id, check_name
from redurable.core.issued import Awaited, EventWait, Issued, Mailroom, settled_at
from redurable.core.loop import DeterministicLoop, DurableCall, DurableHandle
from redurable.core.sizes import Bounds, call_size, check_size, check_turn_size, tags_size
from redurable.core.trail import own
from redurable.core.values import ActivityOptions, Arguments, Child
from redurable.errors import InvalidName, InvalidPayload, NotDeterministic, TurnLimitExceeded

T = TypeVar("T")

MAX_COMMANDS = 10_000
"""The most commands of one step: a turn is one atomic commit."""

_LONGEST_PARENT = MAX_INSTANCE_ID_BYTES - len(":1234567890")
"""Instance ids up to here leave room for `{parent}:{seq}`, the id of a child that is given none."""


class ContinuedAsNew(BaseException):
    """Raised through user code by `continue_as_new`; no `except Exception` should hold it up."""


class LiveScope:
    """Fulfils `core.definition.Scope`, and is the `TimerSink` of its loop."""

    def __init__(self, instance: str, started: ExecutionStarted, bounds: Bounds) -> None:
        self.instance = instance
        self.execution = started.origin or started.execution
        self.number = started.number
        self.parent = started.parent
        self.tags = started.tags
        self.memo = started.memo
        self.trace = own(started)
        self.loop = DeterministicLoop(f"{instance}:{started.execution}", self)
        self.mail = Mailroom()
        self.clock = 0
        self.seen = 0
        self.replaying = False
        self.issued: list[Issued] = []
        self.continuation: ContinueAsNew | None = None
        self.custom_status: Raw | None = None
        self.refused: InvalidPayload | TurnLimitExceeded | None = None
        self.made = 0
        self.long = False
        self._bounds = bounds
        self._made_before = 0
        self._fresh_timers: dict[int, Issued] = {}
        self._fresh_calls: dict[int, Issued] = {}
        self._unique = 0

    # -- for the replay

    def begin_step(self, at: int) -> None:
        """The next input event is about to be fed; `at` is its time."""
        self.seen += 1
        if at > self.clock:
            self.clock = at
        self.issued = []
        self._made_before = self.made
        if self._fresh_timers:
            self._fresh_timers.clear()
        if self._fresh_calls:
            self._fresh_calls.clear()
        self.loop.advance(self.clock)

    # -- for running code

    @property
    def history_length(self) -> int:
        return self.seen

    def next_unique(self) -> int:
        self._check()
        self._unique += 1
        return self._unique

    def call_activity(
        self, name: str, call: Arguments, options: ActivityOptions, decode: Callable[[Raw], T]
    ) -> asyncio.Future[T]:
        self._check_call(f"activity {name!r}", call)
        command = ScheduleActivity(check_name(name, "activity"), call, options)
        return self._await(command, DurableCall[T](self.loop, CancelActivity), name, decode)

    def call_sub_orchestrator(
        self, name: str, call: Arguments, child: Child, decode: Callable[[Raw], T]
    ) -> asyncio.Future[T]:
        self._check_child(name, call, child)
        command = ScheduleSubOrchestration(check_name(name, "orchestrator"), call, child)
        return self._await(command, DurableCall[T](self.loop, CancelSubOrchestration), name, decode)

    def start_orchestration(self, name: str, call: Arguments, child: Child) -> None:
        self._check_child(name, call, child)
        self._issue(ScheduleOrchestration(check_name(name, "orchestrator"), call, child), None)

    def create_timer(self, due: int) -> asyncio.Future[None]:
        self._check()
        future: asyncio.Future[None] = self.loop.create_future()
        handle = self.loop.call_at(due / 1000, self._fire, future)
        future.add_done_callback(lambda _: handle.cancel())
        return future

    def wait_for_event(self, name: str, decode: Callable[[Raw], T]) -> EventWait[T]:
        self._check()
        wait = EventWait(self.loop, self.mail, check_name(name, "event"), decode, self.clock)
        self.mail.wait(wait)
        return wait

    def send_event(self, instance: str, name: str, data: Raw) -> None:
        self._check_made(f"event {name!r} to {instance!r}", "data", memoryview(data).nbytes)
        self._issue(SendEvent(check_instance_id(instance), check_name(name, "event"), data), None)

    def set_custom_status(self, data: Raw) -> None:
        size = memoryview(data).nbytes
        self._check_made("set_custom_status()", "status", size)
        self.made -= size  # Only the last one is written, however many are set.
        self.custom_status = data

    def continue_as_new(self, call: Arguments, keep_events: bool) -> NoReturn:
        self._check_call("continue_as_new()", call)
        self.continuation = ContinueAsNew(call, keep_events)
        raise ContinuedAsNew

    # -- for what user code makes

    def check_size(self, owner: str, part: str, size: int) -> None:
        """Raise `InvalidPayload` for a payload over the limit, unless it is one that was accepted in the past."""
        if not self.replaying:
            check_size(owner, part, size, self._bounds.payload)
            self._check_turn("the payloads of one step", size)

    def check_kept(self) -> None:
        """The same for the unread events that the next execution is given."""
        if not self.replaying:
            size = sum(memoryview(event.data).nbytes for event in self.mail.unread())
            self._check_turn("the unread events that continue_as_new() keeps and the payloads of this step", size)

    def _check_turn(self, what: str, size: int) -> None:
        check_turn_size(self.instance, what, self.made - self._made_before + size, self._bounds.turn)

    def _check_made(self, owner: str, part: str, size: int) -> None:
        """The same amid user code. It is the end of the execution also where user code handles the error: a replay
        under another limit would not see it there, and go another way."""
        self._check()
        try:
            self.check_size(owner, part, size)
        except (InvalidPayload, TurnLimitExceeded) as error:
            self.refused = error
            raise
        self.made += size

    def _check_call(self, owner: str, call: Arguments) -> None:
        self._check_made(owner, "input", call_size(call))

    def _check_child(self, name: str, call: Arguments, child: Child) -> None:
        if child.instance:
            check_instance_id(child.instance)
        elif len(self.instance.encode()) > _LONGEST_PARENT:
            raise InvalidName(
                f"orchestrator {name!r}: the id of a child of {self.instance!r} would be longer than "
                f"{MAX_INSTANCE_ID_BYTES} bytes: choose a shorter one with instance_id=…"
            )
        self._check_call(f"orchestrator {name!r}", call)
        self._check_made(f"orchestrator {name!r}", "tags", tags_size(child.tags))
        self._check_made(f"orchestrator {name!r}", "memo", memoryview(child.memo).nbytes)

    # -- for the loop

    def timer_created(self, handle: DurableHandle, due: int) -> None:
        self._fresh_timers[id(handle)] = self._issue(CreateTimer(due), handle)

    def timer_canceled(self, handle: DurableHandle) -> None:
        if handle.seq:
            self._record(CancelTimer(handle.seq), None)
            handle.seq = 0
        elif id(handle) in self._fresh_timers:
            # Made and cancelled within one step: the history need not know.
            self._fresh_timers.pop(id(handle)).elided = True

    def call_canceled(self, call: DurableCall[Any]) -> None:
        if call.seq:
            self._record(call.undo(call.seq), None)
            call.seq = 0
        elif id(call) in self._fresh_calls:
            # Made and cancelled within one step: it never begins.
            self._fresh_calls.pop(id(call)).elided = True

    # -- inner

    def _fire(self, future: asyncio.Future[None]) -> None:
        if not future.done():
            settled_at(future, self.loop.next_place())
            future.set_result(None)

    def _await(
        self, command: Command, future: DurableCall[T], name: str, decode: Callable[[Raw], T]
    ) -> asyncio.Future[T]:
        self._fresh_calls[id(future)] = self._issue(command, Awaited(name, future, decode))
        return future

    def _issue(self, command: Command, waiter: Awaited | DurableHandle | None) -> Issued:
        self._check()
        if len(self.issued) >= MAX_COMMANDS:
            raise TurnLimitExceeded(
                f"instance {self.instance!r} asked for more than {MAX_COMMANDS:,} commands in one step: "
                "await some results in between, or split the work into sub-orchestrations"
            )
        return self._record(command, waiter)

    def _record(self, command: Command, waiter: Awaited | DurableHandle | None) -> Issued:
        issued = Issued(command, waiter, self.replaying)
        self.issued.append(issued)
        return issued

    def _check(self) -> None:
        if events._get_running_loop() is not self.loop:
            raise NotDeterministic(
                f"the context of instance {self.instance!r} was used outside its orchestrator: "
                "pass values to activities, never the context"
            )
        if self.continuation:
            raise ContinuedAsNew
        if self.refused is not None:
            raise self.refused  # The execution ends with this step: what it still asks for does not happen.
