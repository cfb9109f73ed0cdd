"""Running activities: attempts, errors, payloads that do not fit, unknown names, limits, and leases that are lost."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence

import anyio.to_thread
import msgspec
import pytest

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.app import App
from redurable.authoring.context import OrchestrationContext
from redurable.authoring.policies import RetryPolicy
from redurable.core.codec import encode
from redurable.core.delivery import Entry
from redurable.core.messages import ActivityFailure, ActivityResult
from redurable.core.values import ActivityOptions, Arguments, Failure, Retry, Task
from redurable.facts import ActivityAttempted
from redurable.store.port import Lost, TaskLease
from tests.unit.worker.stage import FaultyStore, Stage, raw, settings

app = App("stage", default_retry=RetryPolicy(max_attempts=1))
ONCE = ActivityOptions(retry=Retry(max_attempts=1))


class CardDeclined(Exception):
    pass


@app.activity
async def decline() -> None:
    raise CardDeclined("no funds")


@app.activity
async def leave() -> None:
    sys.exit(3)


@app.activity
def leave_thread() -> None:
    sys.exit(4)


class Panic(BaseException):
    """As extension modules raise it."""


@app.activity
async def panic() -> None:
    raise Panic("out of bounds")


@app.activity
def interrupt_thread() -> None:
    raise KeyboardInterrupt("of its own accord")


@app.activity
def close_thread() -> None:
    raise GeneratorExit("closed")


@app.activity
def no_text() -> None:
    raise NoText


class NoText(Exception):
    def __str__(self) -> str:
        return sys.exit(5)


@app.activity
async def cancel_itself() -> None:
    raise asyncio.CancelledError("of its own accord")


@app.activity
async def count(number: int) -> int:
    return number + 1


@app.activity
async def no_json() -> str:
    return "\udc80"


class Gate:
    """Lets a test see how many activities run at once, and hold them."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def leave(self) -> None:
        with self._lock:
            self.running -= 1


gate = Gate()


@app.activity
async def hold(_number: int) -> str:
    gate.enter()
    try:
        await anyio.to_thread.run_sync(gate.open.wait, 20, abandon_on_cancel=True)
    except asyncio.CancelledError:
        gate.cancelled += 1
        raise
    finally:
        gate.leave()
    return "held"


@app.activity
def hold_thread(_number: int) -> str:
    gate.enter()
    gate.open.wait(20)
    gate.leave()
    return "held"


@app.orchestrator
async def ask(ctx: OrchestrationContext) -> None:
    await ctx.wait_for_external_event("never")


@pytest.fixture(autouse=True)
def closed_gate() -> None:
    global gate
    gate = Gate()


def task(name: str, *args: object, seq: int = 1, options: ActivityOptions = ONCE, attempt: int = 1) -> Task:
    call = Arguments(args=tuple(raw(arg) for arg in args))
    return Task("one", "x-one", seq, name, call, options, attempt, scheduled_at=0)


async def put(stage: Stage, *tasks: Task) -> None:
    """An instance that waits for these tasks, as far as the store can tell."""
    await stage.start("ask")
    partition = stage.hub.of("one")
    for item in tasks:
        partition.queue(item.options.task_queue).append(stage.hub.clock(), {b"t": encode(item)})


def messages(stage: Stage) -> list[ActivityResult | ActivityFailure]:
    """What activities have put into the instance's mailbox; no worker here takes its turns."""
    box = stage.hub.of("one").mailbox("one")
    entries = list(box.entries.values()) if box is not None else []
    return [msgspec.json.decode(fields[b"m"], type=ActivityResult | ActivityFailure) for fields in entries]


async def outcome(given: Task) -> ActivityResult | ActivityFailure:
    """Run one task and return what its instance is told."""
    stage = Stage()
    await put(stage, given)
    async with stage.working(app, "w-activities", roles={"activities"}):
        await stage.until(lambda: bool(messages(stage)))
    (message,) = messages(stage)
    assert (message.execution, message.seq) == ("x-one", given.seq)
    return message


async def failure(given: Task) -> Failure:
    message = await outcome(given)
    assert isinstance(message, ActivityFailure)
    return message.failure


async def test_a_result() -> None:
    message = await outcome(task("count", 41, seq=7, attempt=2))
    assert isinstance(message, ActivityResult)
    assert (bytes(message.result), message.attempts) == (b"42", 2)


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("decline", "CardDeclined", "no funds"),
        ("leave", "SystemExit", "3"),
        ("leave_thread", "SystemExit", "4"),
        ("cancel_itself", "CancelledError", "of its own accord"),
        ("panic", "Panic", "out of bounds"),
        ("interrupt_thread", "KeyboardInterrupt", "of its own accord"),
        ("close_thread", "GeneratorExit", "closed"),
        ("no_text", "NoText", "<its message could not be read: SystemExit>"),
    ],
)
async def test_whatever_user_code_raises_is_an_outcome(name: str, kind: str, text: str) -> None:
    found = await failure(task(name))
    assert (found.type, found.message, found.attempts) == (kind, text, 1)


@pytest.mark.parametrize("given", [task("count", "many"), task("count", 1, 2), task("no_json")])
async def test_a_payload_that_does_not_fit_is_not_tried_again(given: Task) -> None:
    patient = ActivityOptions(retry=Retry(max_attempts=100))
    found = await failure(msgspec.structs.replace(given, options=patient))
    assert (found.type, found.attempts) == ("InvalidPayload", 1)


async def test_errors_that_are_not_retryable_end_at_once() -> None:
    options = ActivityOptions(retry=Retry(max_attempts=5, non_retryable=("CardDeclined",)))
    assert (await failure(task("decline", options=options))).attempts == 1


async def test_a_retry_goes_back_with_the_next_number_after_the_delay_of_its_policy() -> None:
    stage = Stage()
    options = ActivityOptions(retry=Retry(max_attempts=3, initial_ms=60, coefficient=2.0))
    begun = stage.hub.clock()
    await put(stage, task("decline", options=options))
    async with stage.working(app, "w-activities", roles={"activities"}):
        await stage.until(lambda: bool(messages(stage)))
    assert stage.hub.clock() - begun >= 60 + 120
    (message,) = messages(stage)
    assert isinstance(message, ActivityFailure)
    assert message.failure.attempts == 3
    assert [(fact.outcome, fact.retried) for fact in stage.told(ActivityAttempted)] == [
        ("error", True),
        ("error", True),
        ("error", False),
    ]


async def test_an_unknown_activity_goes_back_until_a_worker_knows_it(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    now = stage.hub.clock()
    await put(stage, *(msgspec.structs.replace(task("foreign", seq=seq), scheduled_at=now) for seq in (1, 2)))
    partition = stage.hub.of("one")
    async with stage.working(app, "w-activities", roles={"activities"}):
        await stage.until(lambda: len(partition.retries) == 2)
        waited = stage.hub.clock() - now
    assert [msgspec.json.decode(body, type=Task).attempt for body in partition.retries.values()] == [1, 1]
    assert all(990 <= due - now <= waited + max(waited, 1_000) for due in partition.timers.values())
    assert caplog.text.count("no worker registers the activity 'foreign'") == 1
    assert {fact.outcome for fact in stage.told(ActivityAttempted)} == {"unknown"}
    assert messages(stage) == []


@pytest.mark.parametrize(("name", "limit"), [("hold", "concurrency"), ("hold_thread", "thread_concurrency")])
async def test_no_more_run_at_once_than_the_limit_and_no_more_are_taken(name: str, limit: str) -> None:
    only = App("stage")
    only.activity(name=name)(hold.definition.function if name == "hold" else hold_thread.definition.function)
    stage = Stage()
    await put(stage, *(task(name, seq, seq=seq) for seq in range(1, 11)))
    async with stage.working(only, "w-activities", roles={"activities"}, settings=settings(**{limit: 3})):
        await stage.until(lambda: gate.running == 3)
        assert stage.held() == 3
        gate.open.set()
        await stage.until(lambda: len(messages(stage)) == 10)
    assert gate.most == 3


async def test_a_queue_with_both_kinds_is_asked_only_for_what_both_can_run() -> None:
    stage = Stage()
    await put(stage, *(task("hold_thread", seq, seq=seq) for seq in range(1, 6)))
    async with stage.working(app, "w-activities", roles={"activities"}, settings=settings(thread_concurrency=2)):
        await stage.until(lambda: gate.running == 2)
        assert stage.held() == 2
        gate.open.set()
        await stage.until(lambda: len(messages(stage)) == 5)


async def test_only_the_chosen_queues_are_served() -> None:
    stage = Stage()
    elsewhere = ActivityOptions(task_queue="elsewhere")
    await put(stage, task("count", 1, seq=1, options=elsewhere), task("count", 2, seq=2))
    async with stage.working(app, "w-activities", roles={"activities"}, task_queues=["elsewhere"]):
        await stage.until(lambda: bool(messages(stage)))
    assert [message.seq for message in messages(stage)] == [1]


class Robbed(FaultyStore):
    """Another worker has taken over all tasks."""

    async def renew(self, entries: Sequence[Entry], tasks: Sequence[TaskLease]) -> Lost:
        self.calls["renew"] += 1
        return Lost((), tuple(tasks))


@pytest.mark.parametrize("name", ["hold", "hold_thread"])
async def test_a_lost_task_is_cancelled_if_it_can_be_and_its_result_is_dropped(name: str) -> None:
    stage = Stage()
    await put(stage, task(name, 1))
    store = Robbed(stage.hub, "w-activities")
    async with stage.working(app, store=store, roles={"activities"}, settings=settings(renew_every_ms=20)) as worker:
        await stage.until(lambda: gate.most == 1)
        if name == "hold_thread":
            await stage.until(lambda: store.calls["renew"] > 0)
            gate.open.set()
        await stage.until(lambda: bool(stage.told(ActivityAttempted)))
        assert worker.id == "w-activities"
    assert [fact.outcome for fact in stage.told(ActivityAttempted)] == ["lost"]
    assert gate.cancelled == (1 if name == "hold" else 0)
    assert messages(stage) == []
    assert store.calls["complete"] == 0


async def test_a_long_activity_keeps_its_lease() -> None:
    stage = Stage()
    quick = settings(task_lease_ms=150, renew_every_ms=30)
    await put(stage, task("hold", 1))
    async with (
        stage.working(app, "a-activities", roles={"activities"}, settings=quick),
        stage.working(app, "b-activities", roles={"activities"}, settings=quick),
    ):
        begun = stage.hub.clock()
        await stage.until(lambda: stage.hub.clock() - begun > 500)
        gate.open.set()
        await stage.until(lambda: bool(messages(stage)))
    assert gate.most == 1
    assert len(messages(stage)) == 1


async def test_the_context_of_an_attempt() -> None:
    seen: list[ActivityContext] = []
    only = App("stage")

    @only.activity
    async def look() -> None:
        seen.append(ActivityContext.current())

    assert look.name == "look"
    stage = Stage()
    await put(stage, task("look", seq=4, attempt=2))
    async with stage.working(only, "w-activities", roles={"activities"}):
        await stage.until(lambda: bool(messages(stage)))
    (context,) = seen
    assert (context.attempt, context.idempotency_key) == (2, "one:x-one:4")
