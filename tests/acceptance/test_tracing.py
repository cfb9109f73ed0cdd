"""One trace over a client and worker processes that are killed: nothing is in it twice."""

from __future__ import annotations

from collections import Counter

import pytest

from redurable import Client
from redurable.core.ids import partition_of
from redurable.telemetry.tracing import instrument
from tests.acceptance.kit import Plant
from tests.acceptance.traced_app import deadly
from tests.support.processes import WorkerProcess, until
from tests.support.spans import Exported, Seen, printed

APP = "tests.acceptance.traced_app:app"
RUNS = ("orchestration:deadly", "sub_orchestration:child", "orchestration:child")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "plant")


def spans(workers: list[WorkerProcess]) -> list[Seen]:
    return [span for worker in workers for span in printed(worker.said)]


async def test_a_trace_over_processes_that_die(plant: Plant) -> None:
    workers = [plant.begin_worker("--tracing", app=APP) for _ in range(3)]
    for worker in workers:
        await worker.ready()
    exported = Exported()
    home = partition_of("one", plant.store.partitions)
    away = next(name for name in map(str, range(99)) if partition_of(name, plant.store.partitions) != home)
    async with Client(plant.server.url, hub=plant.store.hub) as client:
        instrument(client, provider=exported.provider)
        with exported.tracer.start_as_current_span("request"):
            handle = await client.start(deadly, away, instance_id="one")
        first, attempt, second, third = await handle.result(timeout=40)
    assert (first, second, third) == (1, 2, 3)
    whole = Counter(dict.fromkeys(RUNS, 1) | {"activity:die": attempt, "activity:work": 3})
    await until(lambda: Counter(span.name for span in spans(workers)) >= whole, f"these spans are printed: {whole}")
    made, told = exported.one("create_orchestration:deadly"), spans(workers)
    assert {span.trace for span in told} == {made.trace}
    assert len({span.id for span in told}) == len(told), "no span twice"
    # On a busy machine a living worker may lose its lease, too: then there is one attempt more.
    more = Counter(span.name for span in told) - whole
    assert more.keys() <= {"activity:work"}, more
    (run,) = [span for span in told if span.name == "orchestration:deadly"]
    attempts = sorted((span for span in told if span.name == "activity:die"), key=lambda span: span.begun)
    died, lived = attempts[0], attempts[-1]
    assert (run.parent, run.outcome) == (made.id, "Completed")
    assert [died.outcome, lived.outcome] == ["crashed", "ok"]
    assert [died.fields["redurable.attempt"], lived.fields["redurable.attempt"]] == [1, attempt]
    assert {died.parent, lived.parent} == {run.id}
    assert run.begun <= died.begun <= lived.begun <= lived.ended
