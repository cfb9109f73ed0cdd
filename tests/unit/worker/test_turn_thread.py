"""Which turns make the hop to the thread: all but single ones of code that is known to be quick."""

from __future__ import annotations

from threading import get_ident
from types import SimpleNamespace

import pytest

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.facts import TurnsTaken
from redurable.worker import turn_thread
from redurable.worker.turn_thread import PROVEN_TURNS, QUICK_SECONDS
from tests.unit.worker.stage import Stage

app = App("stage")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock that times turns; it stands still unless a test moves it."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(turn_thread, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


async def test_single_turns_of_quick_code_stay_on_the_loop(clock: SimpleNamespace) -> None:
    threads: list[bool] = []
    mine = get_ident()

    @app.orchestrator
    async def compute(ctx: OrchestrationContext, turns: int) -> int:
        for _ in range(turns):
            clock.now += await ctx.wait_for_external_event("Go", float)
            threads.append(get_ident() == mine)
        return turns

    slow_at = {PROVEN_TURNS + 5, 70, 71}
    turns = 90
    stage = Stage()
    async with stage.working(app, roles={"orchestrations"}):
        await stage.start("compute", turns)
        await stage.until(lambda: len(stage.told(TurnsTaken)) == 1)
        for number in range(turns):
            await stage.raise_event("one", "Go", 2 * QUICK_SECONDS if number in slow_at else 0.0)
            await stage.until(lambda number=number: len(stage.told(TurnsTaken)) == number + 2)
        assert await stage.result() == turns
    # The first turn, that of the start, is one of those that prove the code.
    # Proven, on the loop; a slow turn there has to be made up for; then what is known well is forgiven one, not two.
    on_loop = {*range(PROVEN_TURNS - 1, PROVEN_TURNS + 6), *range(40, 72)}
    assert threads == [number in on_loop for number in range(turns)]


async def test_so_do_first_turns_of_quick_code(clock: SimpleNamespace) -> None:
    threads: list[bool] = []
    mine = get_ident()

    @app.orchestrator
    async def begin(ctx: OrchestrationContext, seconds: float) -> None:
        threads.append(get_ident() == mine)
        clock.now += seconds

    stage = Stage()
    slow_at = PROVEN_TURNS + 1
    async with stage.working(app, roles={"orchestrations"}):
        for number in range(PROVEN_TURNS + 4):
            await stage.start("begin", 2 * QUICK_SECONDS if number == slow_at else 0.0, instance=f"number-{number}")
            await stage.result(f"number-{number}")
    assert threads == [PROVEN_TURNS <= number <= slow_at for number in range(PROVEN_TURNS + 4)]
