"""The deterministic loop: order of hashes, refusals, limits, errors that nobody awaited."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from redurable.core import loop as loop_module
from redurable.core.events import ExecutionFailed
from redurable.core.messages import ActivityResult
from redurable.core.values import RuntimeStatus
from tests.support.story import Ctx, Story, raw


def failure(story: Story) -> tuple[str, str]:
    end = story.history[-1]
    assert isinstance(end, ExecutionFailed)
    return end.failure.type, end.failure.message


def _thread() -> Awaitable[Any]:
    return asyncio.to_thread(print)


def _connection() -> Awaitable[Any]:
    return asyncio.open_connection("127.0.0.1", 1)


def _process() -> Awaitable[Any]:
    return asyncio.create_subprocess_exec("true")


def _executor() -> Awaitable[Any]:
    return asyncio.get_running_loop().run_in_executor(None, print)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (_thread, "run_in_executor"),
        (_executor, "run_in_executor"),
        (_connection, "create_connection"),
        (_process, "subprocess_exec"),
    ],
)
def test_io_is_refused_with_what_to_do_instead(call: Callable[[], Awaitable[Any]], name: str) -> None:
    async def body(ctx: Ctx) -> str:
        await call()
        return "1"

    story = Story(body)
    story.turn()
    kind, message = failure(story)
    assert kind == "NotDeterministic"
    assert name in message
    assert "do this in an activity" in message


def test_sets_of_tasks_and_futures_iterate_in_the_same_order_on_replay() -> None:
    async def body(ctx: Ctx) -> str:
        calls: set[asyncio.Future[str]] = {ctx.activity("A", str(n)) for n in range(50)}
        groups = {asyncio.gather(ctx.activity("G", str(n))) for n in range(50)}
        tasks = {asyncio.ensure_future(asyncio.sleep(n + 1)) for n in range(50)}
        order = [await_hash(item) for item in (*calls, *groups, *tasks)]
        await ctx.activity("order", str(order[0]))
        for number, item in enumerate((*calls, *groups)):
            if number % 7 == 0:
                await item
        await ctx.activity("order", f'"{order}"')
        return "1"

    def await_hash(item: object) -> int:
        return hash(item) & 0xFFFFFF

    story = Story(body)
    story.turn()
    keep = [object() for _ in range(1000)]  # other addresses for the cold replay of the next turn
    commit = story.turn(*(ActivityResult(execution="x1", seq=n, result=raw("1")) for n in range(1, 101)))
    assert commit.park is None
    assert len(keep) == 1000


def test_a_turn_that_never_becomes_idle_fails_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "MAX_CALLBACKS", 5000)

    async def spin(ctx: Ctx) -> str:
        while True:  # noqa: ASYNC110 - never becoming idle is the point
            await asyncio.sleep(0)

    story = Story(spin)
    assert story.turn().status is RuntimeStatus.FAILED
    assert failure(story)[0] == "TurnLimitExceeded"


def test_too_many_commands_in_one_step_are_a_clear_error() -> None:
    async def flood(ctx: Ctx) -> str:
        for number in range(10_001):
            ctx.activity("A", str(number))
        return "1"

    story = Story(flood)
    story.turn()
    kind, message = failure(story)
    assert kind == "TurnLimitExceeded"
    assert "10,000 commands" in message


def test_errors_of_tasks_that_nobody_awaited_are_noted_once() -> None:
    async def boom() -> None:
        raise ValueError("lost")

    async def body(ctx: Ctx) -> str:
        tasks = [asyncio.create_task(boom())]
        await asyncio.sleep(0)
        tasks.clear()
        await ctx.activity("A")
        return "1"

    story = Story(body)
    story.turn()
    assert story.notes == ("task Task-2 failed, and nobody awaits it so far: ValueError('lost')",)
    story.turn(ActivityResult(execution="x1", seq=1))
    assert story.notes == ()


class Untellable(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [(Untellable(), "Untellable, whose repr() raises RuntimeError"), (ValueError("x" * 9_999), "…")],
)
def test_a_note_of_an_error_is_bounded_and_stops_nobody(error: Exception, told: str) -> None:
    def call() -> None:
        raise error

    async def boom() -> None:
        call()

    async def body(ctx: Ctx) -> str:
        asyncio.get_running_loop().call_soon(call)
        task = asyncio.create_task(boom())
        await ctx.activity("A")
        return task.get_name()

    story = Story(body)
    story.turn()
    assert [note[-len(told) :] for note in story.notes] == [told, told]
    assert max(map(len, story.notes)) < 1_200
    assert story.turn(ActivityResult(execution="x1", seq=1, result=raw("1"))).status is RuntimeStatus.COMPLETED


def test_every_instance_has_its_own_fresh_context() -> None:
    leak: contextvars.ContextVar[str] = contextvars.ContextVar("leak", default="clean")
    seen: list[str] = []

    async def body(ctx: Ctx) -> str:
        seen.append(leak.get())
        leak.set("mine")
        await ctx.activity("A")
        seen.append(leak.get())
        return "1"

    leak.set("worker")
    story = Story(body)
    story.ends_with_replay = False
    story.turn()
    seen.clear()
    story.turn(ActivityResult(execution="x1", seq=1))
    assert seen == ["clean", "mine", "mine"], "the cold replay begins clean, both replays keep their own"
    assert leak.get() == "worker"


def test_the_context_cannot_be_used_outside_its_turn() -> None:
    smuggled: list[Ctx] = []

    async def body(ctx: Ctx) -> str:
        smuggled.append(ctx)
        await ctx.activity("A")
        return "1"

    Story(body).turn()
    with pytest.raises(Exception, match="outside its orchestrator"):
        smuggled[-1].activity("B")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_whatever_the_orchestrator_raises_ends_only_itself(error: BaseException) -> None:
    async def body(ctx: Ctx) -> str:
        raise error

    story = Story(body)
    assert story.turn().status is RuntimeStatus.FAILED
    assert failure(story)[0] == type(error).__name__
