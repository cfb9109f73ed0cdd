"""An orchestrator that calls one activity, and what the attempts of that activity saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

from anyio import CancelScope

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.policies import RetryPolicy
from redurable.core.events import AttemptRow, HistoryRow
from redurable.core.rows import history_rows
from redurable.errors import ActivityFailed as ActivityError
from redurable.facts import ActivityAttempted, TurnsTaken
from redurable.worker.clock import StoreClock
from tests.unit.worker.stage import Stage, running

QUICKLY = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=1))


class HandClock(StoreClock):
    """Time limits of attempts run out when somebody says so, in any thread."""

    __slots__ = ("_limits", "_loop", "_now")

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._limits: list[tuple[float, CancelScope]] = []
        self._loop = asyncio.get_running_loop()

    def monotonic(self) -> float:
        return self._now

    @contextmanager
    def move_on_after(self, seconds: float) -> Generator[CancelScope]:
        with CancelScope() as scope:
            self._limits.append((self._now + seconds, scope))
            yield scope

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for due, scope in self._limits:
            if due <= self._now:
                scope.cancel()


class Play:
    """An app with one activity under test, and what its attempts saw."""

    def __init__(self, **options: Any) -> None:
        self.app = App("stage", default_retry=options.pop("retry", QUICKLY))
        self.options = options
        self.stage = Stage()
        self.contexts: list[ActivityContext] = []
        self.cancelled = 0

        @self.app.orchestrator
        async def ask(ctx: OrchestrationContext) -> str:
            try:
                return await ctx.call_activity("act", result_type=str)
            except ActivityError as error:
                return type(error).__name__

        assert ask.name == "ask"

    def acts(self, function: Any) -> None:
        """The activity."""
        self.app.activity(name="act", **self.options)(function)

    def enter(self) -> ActivityContext:
        """An attempt begins."""
        context = ActivityContext.current()
        self.contexts.append(context)
        return context

    async def result(self, **options: Any) -> str:
        """Run it to its end with one worker."""
        await self.stage.start("ask")
        async with self.stage.working(self.app, **options):
            return await self.stage.result()

    @asynccontextmanager
    async def timed_by(self, clock: HandClock) -> AsyncGenerator[None]:
        """A worker that measures the time limits of attempts on this clock, as one of a test environment does."""
        worker = self.stage.worker(self.app)
        setattr(worker, "_clock", clock)  # noqa: B010 - what a test environment's worker may do
        async with worker, running(worker):
            yield

    async def rows(self) -> list[str]:
        """The rows of attempts, and the outcome, in short."""
        rows = history_rows(await self.stage.history())
        return [short(row) for row in rows if isinstance(row, AttemptRow) or hasattr(row, "log")]

    @property
    def outcomes(self) -> list[tuple[str, bool]]:
        return [(fact.outcome, fact.retried) for fact in self.stage.told(ActivityAttempted)]

    def assert_two_turns(self) -> None:
        """One for the start, one for the final outcome."""
        assert sum(len(fact.turns) for fact in self.stage.told(TurnsTaken)) == 2


def short(row: HistoryRow) -> str:
    name = type(row).__name__.removeprefix("Activity")
    failure = getattr(row, "failure", None)
    return " ".join(str(part) for part in (name, getattr(row, "attempt", ""), failure and failure.type) if part)
