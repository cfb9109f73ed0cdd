"""The seam between the engine and application code: what the engine runs, and what that code may ask of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

from msgspec import Raw

from redurable.core.issued import EventWait
from redurable.core.values import ActivityOptions, Arguments, Child, Failure, Parent, Trace

T = TypeVar("T")


class Scope(Protocol):
    """The engine as seen by one running execution. Every method may be called only inside its own turn.

    Futures are those of the execution's deterministic loop. `decode` turns the payload into the future's result when
    it arrives; what it raises becomes the future's exception.
    """

    instance: str
    execution: str
    number: int
    parent: Parent | None
    tags: dict[str, str]
    memo: Raw
    """`ABSENT` when the start gave none."""
    trace: Trace | None
    """What the calls of this execution belong below."""

    @property
    def long(self) -> bool:
        """True when the history says of itself that it has become long: it is time to continue as new."""
        ...

    @property
    def clock(self) -> int:
        """The history's clock, in milliseconds of the Unix epoch."""
        ...

    @property
    def replaying(self) -> bool:
        """True while code runs that has run before."""
        ...

    @property
    def history_length(self) -> int:
        """How many events the history holds, those of this turn included."""
        ...

    def next_unique(self) -> int:
        """A counter of the execution: 1, 2, 3, … the same on every replay."""
        ...

    def call_activity(
        self, name: str, call: Arguments, options: ActivityOptions, decode: Callable[[Raw], T]
    ) -> asyncio.Future[T]:
        """Schedule an activity. The future fails with `ActivityFailed`; cancelling it cancels the call."""
        ...

    def call_sub_orchestrator(
        self, name: str, call: Arguments, child: Child, decode: Callable[[Raw], T]
    ) -> asyncio.Future[T]:
        """Start a child and wait for it. Fails with `SubOrchestrationFailed`. Cancelling the future asks the child to
        end."""
        ...

    def start_orchestration(self, name: str, call: Arguments, child: Child) -> None:
        """Start a child that nobody waits for."""
        ...

    def create_timer(self, due: int) -> asyncio.Future[None]:
        """A future that is done at `due` (milliseconds of the Unix epoch); cancelling it removes the timer."""
        ...

    def wait_for_event(self, name: str, decode: Callable[[Raw], T]) -> EventWait[T]:
        """Reserve the next event of that name; whoever gives the wait up gives its slot back."""
        ...

    def send_event(self, instance: str, name: str, data: Raw) -> None:
        """Raise an event on another instance."""
        ...

    def set_custom_status(self, data: Raw) -> None:
        """Replace the custom status."""
        ...

    def continue_as_new(self, call: Arguments, keep_events: bool) -> NoReturn:
        """End this execution and begin the next; raises through user code."""
        ...


class Definition(Protocol):
    """An orchestrator as the engine needs it."""

    @property
    def name(self) -> str: ...

    def run(self, scope: Scope, call: Arguments) -> Coroutine[Any, Any, Raw]:
        """User code as a coroutine that returns the encoded result. A call that does not fit raises inside it."""
        ...

    def failure(self, error: BaseException) -> Failure:
        """An error of user code in a form that can be stored."""
        ...
