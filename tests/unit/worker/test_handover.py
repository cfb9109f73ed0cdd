"""A worker that owns a partition whose instances it does not know hands them over, and reads each history once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.core.delivery import Delivery, Entry, Position
from redurable.facts import TurnParked, TurnsTaken
from redurable.store.memory import MemoryStore
from redurable.worker.ownership import owner
from tests.unit.worker.stage import Stage, settings

LENGTH = 12

knowing, strange = App("stage"), App("stage")


@knowing.orchestrator
async def count(ctx: OrchestrationContext, length: int) -> int:
    for number in range(length):
        await ctx.wait_for_external_event(f"E{number}")
    return length


@strange.orchestrator
async def other(ctx: OrchestrationContext) -> str:
    await ctx.wait_for_external_event("Go")
    return "other"


class Watched(MemoryStore):
    """Counts the events that were read of each instance."""

    read: Counter[str]

    async def checkout(self, entries: Sequence[Entry], known: Sequence[Position | None]) -> list[Delivery]:
        deliveries = await super().checkout(entries, known)
        for delivery in deliveries:
            self.read[delivery.entry.instance] += len(delivery.events)
        return deliveries


def _names() -> tuple[str, str]:
    """The owner of the only partition, and another worker."""
    first = owner("0", ["w1", "w2"])
    return first, "w2" if first == "w1" else "w1"


async def test_it_is_handed_over_at_every_turn_and_read_once() -> None:
    stage = Stage(partitions=1)
    stranger, knower = _names()
    store = Watched(stage.hub, stranger)
    store.read = Counter()
    quick = settings(steal_after_ms=60_000)
    async with (
        stage.working(strange, stranger, store=store, settings=quick),
        stage.working(knowing, knower, settings=quick),
    ):
        await stage.until(lambda: len(stage.hub.workers) == 2)
        await stage.start("count", LENGTH)
        await stage.start("other", instance="own")
        for number in range(LENGTH):
            await stage.raise_event("one", f"E{number}")
            await stage.until_seen("one", lambda seen, number=number: seen.length >= number + 2)
        await stage.raise_event("own", "Go")
        assert await stage.result() == LENGTH
        assert await stage.result("own") == "other"
    results = Counter(turn.result for fact in stage.told(TurnsTaken) for turn in fact.turns)
    assert stage.told(TurnParked) == []
    assert LENGTH // 2 < results["handed"] <= LENGTH + 1
    # Each event once, as it comes, and not the whole history for each turn.
    assert store.read["one"] <= LENGTH + 2


async def test_when_nobody_else_is_left_the_whole_history_is_read_and_it_is_quarantined() -> None:
    stage = Stage(partitions=1)
    stranger, knower = _names()
    quick = settings(park_min_ms=20, park_max_ms=40)
    async with stage.working(strange, stranger, settings=quick):
        async with stage.working(knowing, knower, settings=quick):
            await stage.until(lambda: len(stage.hub.workers) == 2)
            await stage.start("count", 3)
            for number in range(2):
                await stage.raise_event("one", f"E{number}")
                await stage.until_seen("one", lambda seen, number=number: seen.length == number + 2)
        await stage.raise_event("one", "E2")
        seen = await stage.until_seen("one", lambda seen: seen.parks > 2)
        assert seen.quarantined is not None
        assert seen.quarantined.reason == "unknown orchestrator"
        async with stage.working(knowing, "w3", settings=quick):
            assert await stage.result() == 3
