"""A worker and what it should not have been given: large payloads, unknown names, unfit inputs, damaged data."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from redurable import ActivityContext, ActivityFailed, Client, OrchestrationFailed, StoreDamaged, StoreUnavailable
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.policies import RetryPolicy
from redurable.errors import WorkerStopped
from redurable.facts import ActivityAttempted, DeadLettered
from redurable.store.memory import MemoryStore
from redurable.worker import Worker
from redurable.worker.patience import open_patiently
from tests.unit.worker.stage import FaultyStore, Stage, running, settings

LIMIT = 1_000
LARGE = "x" * 2_000

app = App("stage", default_retry=RetryPolicy(max_attempts=3))


class Order(BaseModel):
    lines: list[str]
    price: int


@app.activity
async def make(size: int) -> str:
    return "x" * size


@app.activity
async def beat(size: int) -> str:
    ActivityContext.current().heartbeat("x" * size)
    return "beaten"


@app.activity
async def weigh(order: Order) -> int:
    return len(order.lines)


@app.activity
async def no_json() -> object:
    return object()


@app.orchestrator
async def call(ctx: OrchestrationContext, name: str, given: object = None) -> object:
    inputs = () if given is None else (given,)
    try:
        return await ctx.call_activity(name, *inputs)
    except ActivityFailed as failed:
        return f"{failed.attempts} {failed.type}: {failed.message}"


@app.orchestrator
async def process(ctx: OrchestrationContext, order: Order) -> int:
    return await ctx.call_activity(weigh, order)


@app.orchestrator
async def give(ctx: OrchestrationContext, kind: str) -> object:
    return object() if kind == "object" else LARGE


@app.orchestrator
async def collect(ctx: OrchestrationContext, count: int) -> list[object]:
    return [await ctx.wait_for_external_event("Go") for _ in range(count)]


async def test_a_result_over_the_limit_fails_its_call_at_once_and_nothing_else() -> None:
    stage = Stage()
    await stage.start("call", "make", 2_000)
    await stage.start("call", "make", 5, instance="two")
    async with stage.working(app, settings=settings(max_payload_bytes=LIMIT)):
        said = "1 InvalidPayload: activity 'make': 2,002 bytes of result are more than max_payload_bytes"
        assert (await stage.result()).startswith(said)
        assert await stage.result("two") == "xxxxx"
    assert sorted(fact.outcome for fact in stage.told(ActivityAttempted)) == ["non_retryable", "ok"]


async def test_heartbeat_details_over_the_limit_are_the_activitys_own_error() -> None:
    stage = Stage()
    await stage.start("call", "beat", 10)
    await stage.start("call", "beat", 2_000, instance="two")
    quick = settings(max_payload_bytes=LIMIT)
    patient = App("stage", default_retry=RetryPolicy(max_attempts=1))
    patient.activity(name="beat")(beat.definition.function)
    patient.orchestrator(name="call")(call.definition.function)
    async with stage.working(patient, settings=quick):
        assert await stage.result() == "beaten"
        assert "2,002 bytes of heartbeat details are more than" in await stage.result("two")


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("give", ("object",), "orchestrator 'give': result of type object cannot be encoded as JSON"),
        ("give", ("large",), "orchestrator 'give': 2,002 bytes of result are more than max_payload_bytes"),
        (
            "process",
            ({"lines": ["a"]},),
            """parameter 'order' does not accept {"lines":["a"]}: price: Field required""",
        ),
        ("process", ("nonsense",), """parameter 'order' does not accept "nonsense": Input should be"""),
        ("process", (), "orchestrator 'process': no input for 'order': pass one"),
        ("process", (1, 2), "orchestrator 'process': takes at most 1 positional inputs, got 2"),
    ],
)
async def test_what_fails_an_execution_says_which_value_of_what(
    name: str, inputs: tuple[Any, ...], message: str
) -> None:
    stage = Stage()
    small = settings(max_payload_bytes=LIMIT)
    async with stage.working(app, settings=small), Client.from_store(stage.store) as client:
        handle = await client.start(name, *inputs)
        with pytest.raises(OrchestrationFailed) as failed:
            await handle.result(timeout=10)
    assert failed.value.type == "InvalidPayload"
    assert message in failed.value.message


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("weigh", {"lines": "a", "price": 1}, 'parameter \'order\' does not accept {"lines":"a","price":1}: lines:'),
        ("no_json", None, "activity 'no_json': result of type object cannot be encoded as JSON"),
    ],
)
async def test_what_does_not_fit_an_activity_is_not_tried_again(name: str, given: object, said: str) -> None:
    stage = Stage()
    await stage.start("call", *([name] if given is None else [name, given]))
    async with stage.working(app):
        result = await stage.result()
    assert result.startswith("1 InvalidPayload: ")
    assert said in result


async def test_an_unknown_orchestrator_is_parked_and_its_status_says_why() -> None:
    stage = Stage()
    async with stage.working(app), Client.from_store(stage.store) as client:
        await client.start("Unheard", {"n": 1}, instance_id="one")
        await stage.until_seen("one", lambda snapshot: bool(snapshot.quarantined))
        status = await client.get_status("one")
        assert status.runtime_status == "Pending"
        assert str(status.quarantined) == (
            "unknown orchestrator: no worker here knows the orchestrator 'Unheard': start a worker that registers it"
        )
        await client.terminate("one", "a mistake")
        assert (await stage.until_finished()).status == "Terminated"


async def test_foreign_entries_over_the_limit_are_dead_letters() -> None:
    stage = Stage()
    worker = FaultyStore(stage.hub, "w1")
    worker.max_payload = LIMIT
    data = b'"' + LARGE.encode() + b'"'
    await stage.start("collect", 2)
    async with stage.working(app, store=worker, settings=settings(max_payload_bytes=LIMIT, sweep_every_ms=50)):
        await stage.store.xadd_intake({b"event": b"Go", b"instance": b"one", b"data": data})
        await stage.store.xadd_intake({b"start": b"collect", b"instance": b"big", b"input": data})
        await stage.store.xadd_mailbox("one", {b"event": b"Go", b"data": data})
        await stage.store.xadd_mailbox("one", {b"event": b"Go", b"data": b"1"})
        await stage.store.xadd_intake({b"event": b"Go", b"instance": b"one", b"data": b"2"})
        assert sorted(await stage.result()) == [1, 2]
        await stage.until(lambda: sum(fact.count for fact in stage.told(DeadLettered)) == 3)
    letters = list(stage.hub.dead.entries.values())
    assert all(b"2,002 bytes of payload are more than max_payload_bytes" in letter[b"reason"] for letter in letters)
    assert {len(letter.get(b"data", letter.get(b"input", b""))) for letter in letters} == {LIMIT}
    assert len(letters) == 3
    assert await stage.store.get("big") is None


class Waiting(MemoryStore):
    """Opens at the third time."""

    opened = 0

    async def open(self, create: bool = True) -> bool:
        self.opened += 1
        if self.opened < 3:
            raise StoreUnavailable("connection refused")
        return await super().open(create)


async def test_a_worker_waits_for_a_store_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    store = Waiting(stage.hub, "w1")
    with caplog.at_level(logging.WARNING, "redurable.worker"), anyio.fail_after(10):
        await open_patiently(store, settings(), "redis://there:6379")
    assert store.opened == 3
    (line,) = caplog.messages
    assert line.startswith("the store at redis://there:6379 does not answer (connection refused); this worker waits")


DAMAGE = StoreDamaged("'rd:{stage:p0}:outbox' is a string where redurable keeps a stream")


def damaged(stage: Stage, *verbs: str) -> FaultyStore:
    """A store in which these verbs meet a key that another program wrote over."""
    store = FaultyStore(stage.hub, "w1")
    for verb in verbs:
        damage(store, verb)
    return store


def damage(store: FaultyStore, verb: str) -> None:
    async def fail(*_: Any) -> Any:
        raise DAMAGE

    setattr(store, verb, fail)


@pytest.mark.parametrize("verb", ["relay", "route", "sweep", "steal", "reclaim", "reap"])
async def test_damage_that_one_role_meets_is_told_once_and_the_others_go_on(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    store = damaged(stage, verb)
    await stage.start("call", "make", 3)
    quick = settings(sweep_every_ms=1, steal_after_ms=1, reclaim_every_ms=1, reap_after_ms=1, poll_block_ms=1)
    with caplog.at_level(logging.ERROR, "redurable.worker"):
        async with stage.working(app, store=store, settings=quick):
            assert await stage.result() == "xxx"
            await stage.start("call", "make", 4, instance="two")
            assert await stage.result("two") == "xxxx"
            if verb != "steal":  # A lone worker prefers all partitions.
                await stage.until(lambda: bool(caplog.messages))
    if verb != "steal":
        (line,) = caplog.messages
        assert line == f"{verb}: {DAMAGE}. What depends on it stands still, all else goes on"


async def test_damage_without_which_nothing_goes_stops_the_worker_by_name() -> None:
    stage = Stage()
    async with stage.worker(app, store=damaged(stage, "heartbeat")) as worker:
        with pytest.raises(WorkerStopped, match=r"membership died: StoreDamaged: 'rd:\{stage:p0\}:outbox' is a string"):
            await worker.run()


async def test_a_worker_drains_although_its_membership_is_damaged() -> None:
    stage = Stage()
    store = damaged(stage)
    await stage.start("call", "make", 3)
    worker: Worker = stage.worker(app, store=store)
    async with worker, running(worker):
        assert await stage.result() == "xxx"
        damage(store, "leave")
    assert stage.held() == 0
