"""The orchestration context on the real engine: every turn is decided warm and cold, and both must agree."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

import pytest
from pydantic import BaseModel

from redurable import App, CallerError, InvalidPayload, OrchestrationContext, RetryPolicy
from redurable.core.events import SubOrchestrationScheduled
from redurable.core.messages import (
    ActivityFailure,
    StartExecution,
    SubOrchestrationResult,
)
from redurable.core.values import ActivityOptions, Arguments, Failure, Parent, Retry, RuntimeStatus
from tests.support.app_story import AppStory
from tests.support.story import T0, raw


class Order(BaseModel):
    lines: list[str]


class Receipt(BaseModel):
    total: int


def test_activities_by_function_and_by_name() -> None:
    app = App("orders", default_retry=RetryPolicy(max_attempts=7))

    @app.activity(name="Charge", task_queue="payments")
    async def charge(order: Order, currency: str = "EUR") -> Receipt:
        raise NotImplementedError

    @app.orchestrator
    async def process(ctx: OrchestrationContext, order: Order) -> list[str]:
        results: list[object] = [
            await ctx.call_activity(charge, order),
            await ctx.call_activity(charge.options(task_queue="vip"), order, currency="USD"),
            await ctx.call_activity("Charge", order),
            await ctx.call_activity("Unknown", 1, "a", result_type=Receipt),
            await ctx.call_activity("Unknown"),
        ]
        return [repr(result) for result in results]

    story = AppStory(process, Order(lines=["a"]))
    tasks = [story.turn().tasks[0]]
    for seq, payload in enumerate(['{"total":1}', '{"total":2}', '{"total":3}', '{"total":4}', '{"total":5}'], 1):
        tasks.extend(story.turn(story.done(seq, payload)).tasks)

    seven = Retry(max_attempts=7)
    order = raw('{"lines":["a"]}')
    assert [(task.name, task.call, task.options) for task in tasks] == [
        ("Charge", Arguments(order), ActivityOptions("payments", seven)),
        ("Charge", Arguments(args=(order,), kwargs={"currency": raw('"USD"')}), ActivityOptions("vip", seven)),
        ("Charge", Arguments(order), ActivityOptions("payments", seven)),
        ("Unknown", Arguments(args=(raw("1"), raw('"a"'))), ActivityOptions(retry=seven)),
        ("Unknown", Arguments(), ActivityOptions(retry=seven)),
    ]
    expected = ["Receipt(total=1)", "Receipt(total=2)", "Receipt(total=3)", "Receipt(total=4)", "{'total': 5}"]
    assert json.loads(story.result()) == expected


def test_calls_that_make_no_sense_are_refused_at_once() -> None:
    app = App("orders")

    @app.activity
    async def count(x: int) -> int:
        raise NotImplementedError

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> list[str]:
        loose: Any = ctx
        told: list[str] = []
        for call in (
            lambda: loose.call_activity(count),
            lambda: loose.call_activity(count, 1, y=2),
            lambda: loose.call_activity(count, object()),
            lambda: loose.call_activity(process, 1),
            lambda: loose.call_sub_orchestrator(count, 1),
            lambda: loose.call_sub_orchestrator(process, on_conflict="use-existing"),
            lambda: loose.call_sub_orchestrator(process, retry=3),
            lambda: loose.call_sub_orchestrator(process, parent_close="kill"),
            lambda: loose.start_orchestration(process, retry=RetryPolicy()),
            lambda: loose.start_orchestration(process, parent_close="cancel"),
            lambda: loose.create_timer(datetime(2030, 1, 1)),
            lambda: loose.select(),
        ):
            with pytest.raises(CallerError) as refused:
                await call()
            told.append(str(refused.value))
        return told

    story = AppStory(process)
    assert story.turn().tasks == ()
    expected = [
        "activity 'count': no input for 'x': pass one",
        "activity 'count': there is no parameter 'y' to pass by name; it has x",
        "activity 'count': parameter 'x' of type object cannot be encoded as JSON",
        "<orchestrator 'process'> is no activity: decorate it with @app.activity, or pass its name",
        "<activity 'count'> is no orchestrator: decorate it with @app.orchestrator, or pass its name",
        "orchestrator 'process': the call of a child takes no 'on_conflict'; its options are delay, execution_timeo",
        "orchestrator 'process': retry=3: use a RetryPolicy",
        "orchestrator 'process': parent_close='kill': use one of terminate, cancel, abandon",
        "orchestrator 'process': the call of a child takes no 'retry'; its options are delay, execution_timeout, i",
        "orchestrator 'process': the call of a child takes no 'parent_close'; its options are delay, execution_tim",
        "create_timer(datetime.datetime(2030, 1, 1, 0, 0)): a time without a zone is ambiguous: use ctx.current",
        "select() got nothing to wait for: pass at least one awaitable",
    ]
    told: list[str] = json.loads(story.result())
    assert [text[: len(start)] for text, start in zip(told, expected, strict=True)] == expected


def test_what_went_wrong_is_told_where_it_was_called() -> None:
    app = App("orders")

    @app.activity
    async def count(x: int) -> int:
        raise NotImplementedError

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> None:
        with pytest.raises(InvalidPayload, match="activity 'count': result does not accept \"many\""):
            await ctx.call_activity(count, 1)
        await ctx.call_activity(count, 2)

    story = AppStory(process)
    story.turn()
    story.turn(story.done(1, '"many"'))
    story.turn(ActivityFailure(execution="x1", seq=2, failure=Failure("Declined", "no", attempts=3)))
    failure = story.failure()
    assert (failure.type, failure.message) == ("ActivityFailed", "count failed after 3 attempts: Declined: no")
    assert failure.cause == Failure("Declined", "no", attempts=3)
    assert ", in test_what_went_wrong" in failure.stack
    assert "redurable/core" not in failure.stack


def test_inputs_that_do_not_fit_fail_the_orchestration() -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext, order: Order) -> None: ...

    story = AppStory(process, Order(lines=[]))
    story.start = StartExecution(name="process", execution="x1", call=Arguments(raw('{"lines":3}')))
    story.turn()
    assert story.failure().type == "InvalidPayload"
    assert story.failure().message.startswith(
        "orchestrator 'process': parameter 'order' does not accept {\"lines\":3}: lines: "
    )


def test_what_the_context_knows() -> None:
    app = App("orders")
    seen: list[tuple[object, ...]] = []

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> list[object]:
        seen.append((ctx.instance_id, ctx.execution, ctx.parent_instance_id, ctx.history_length, ctx.is_replaying))
        first: list[object] = [ctx.random.random(), ctx.new_uuid(), ctx.new_uuid()]
        await ctx.create_timer(timedelta(seconds=1, microseconds=1))
        second = [ctx.random.random(), ctx.new_uuid()]
        seen.append((ctx.current_utc_datetime, ctx.history_length))
        ctx.set_custom_status({"step": [1, None]})
        return first + second

    parent = Parent("p", "x0", 3)
    results: list[list[object]] = []
    for _ in range(2):
        seen.clear()
        story = AppStory(process, parent=parent)
        story.turn()
        assert seen[0] == ("story", "x1", "p", 1, False)
        commit = story.turn(story.due(1))
        assert commit.custom_status == raw('{"step":[1,null]}')
        moment = datetime.fromtimestamp(T0 / 1000, UTC) + timedelta(milliseconds=1001)
        assert (moment, 3) in seen
        results.append(json.loads(story.result()))
    assert results[0] == results[1]
    assert len(set(results[0])) == 5
    assert UUID(str(results[0][1])).version == 5

    other = AppStory(process, parent=parent)
    other.instance = "another"
    other.turn()
    other.turn(other.due(1))
    assert set(json.loads(other.result())).isdisjoint(results[0])


def test_the_logger_speaks_once_and_says_who(caplog: pytest.LogCaptureFixture) -> None:
    app = App("orders")

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> None:
        ctx.logger.info("step %s", 1, extra={"own": True})
        await ctx.create_timer(timedelta(seconds=1))
        assert ctx.logger.isEnabledFor(logging.INFO)
        ctx.logger.info("step %s", 2)

    caplog.set_level(logging.INFO)
    story = AppStory(process)
    story.ends_with_replay = False
    story.turn()
    story.turn(story.due(1))
    # A story decides every turn twice; the second turn's cold replay runs step 1 again, in silence.
    assert [record.getMessage() for record in caplog.records] == ["step 1", "step 1", "step 2", "step 2"]
    record = caplog.records[0]
    assert record.name == __name__
    assert {"instance_id": "story", "execution": "x1", "own": True}.items() <= vars(record).items()


def test_children() -> None:
    app = App("orders")

    @app.orchestrator
    async def ship(ctx: OrchestrationContext, order: Order, fast: bool = False) -> Receipt:
        raise NotImplementedError

    @app.orchestrator
    async def process(ctx: OrchestrationContext) -> list[str]:
        order = Order(lines=[])
        detached = [
            ctx.start_orchestration(ship, order),
            ctx.start_orchestration(ship.options(instance_id="audit", tags={"a": "b"}), order, fast=True),
            ctx.start_orchestration("Elsewhere", 1, instance_id="far"),
        ]
        UUID(detached[0])
        receipts: list[object] = [
            *await asyncio.gather(
                ctx.call_sub_orchestrator(ship, order, fast=True),
                ctx.call_sub_orchestrator(ship, order, instance_id=f"{ctx.instance_id}-ship"),
                ctx.call_sub_orchestrator(ship.options(instance_id="o"), order, parent_close="abandon"),
            ),
            await ctx.call_sub_orchestrator("Elsewhere", order, result_type=Receipt, instance_id="e"),
        ]
        await ctx.raise_event("other", "Done", receipts[0])
        return [*detached[1:], *map(str, receipts)]

    story = AppStory(process)
    starts = story.turn().outbox
    assert [item.instance for item in starts][1:] == ["audit", "far", "story:4", "story-ship", "o"]
    messages = [item.message for item in starts]
    assert all(isinstance(message, StartExecution) for message in messages)
    audit = messages[1]
    assert isinstance(audit, StartExecution)
    assert (audit.name, audit.tags, audit.parent) == ("ship", {"a": "b"}, None)
    assert audit.call == Arguments(args=(raw('{"lines":[]}'),), kwargs={"fast": raw("true")})
    scheduled = [event for event in story.history if isinstance(event, SubOrchestrationScheduled)]
    assert [event.parent_close for event in scheduled] == ["terminate", "terminate", "abandon"]
    for seq in (4, 5, 6, 7):
        commit = story.turn(SubOrchestrationResult(execution="x1", seq=seq, result=raw(f'{{"total":{seq}}}')))
    sent = commit.outbox[-1]
    assert (sent.instance, getattr(sent.message, "name", ""), getattr(sent.message, "data", None)) == (
        "other",
        "Done",
        raw('{"total":4}'),
    )
    assert story.result() == '["audit","far","total=4","total=5","total=6","total=7"]'


def test_continue_as_new_checks_its_inputs() -> None:
    app = App("orders")

    @app.orchestrator
    async def count(ctx: OrchestrationContext, n: int) -> NoReturn:
        loose: Any = ctx
        with pytest.raises(InvalidPayload, match="orchestrator 'count': takes at most 1 positional inputs, got 2"):
            loose.continue_as_new(n, n)
        ctx.continue_as_new(n + 1, keep_events=False)

    story = AppStory(count, 1)
    commit = story.turn()
    assert commit.next is not None
    assert commit.next.call == Arguments(raw("2"))
    assert commit.status is RuntimeStatus.RUNNING


def test_an_orchestrator_can_be_a_part_of_another() -> None:
    app = App("orders")

    @app.orchestrator
    async def part(ctx: OrchestrationContext, name: str) -> object:
        return await ctx.call_activity(name)

    @app.orchestrator
    async def whole(ctx: OrchestrationContext) -> object:
        return await part(ctx, "Work")

    story = AppStory(whole)
    assert story.turn().tasks[0].name == "Work"
    story.turn(story.done(1, "[1]"))
    assert story.result() == "[1]"
