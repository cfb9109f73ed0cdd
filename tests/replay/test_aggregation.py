"""The first of several, all of several: decided by the order of the history, whatever the order of asking.

`Story` takes every turn twice, by the cached replay and by a cold one, and fails when the two differ.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from redurable.authoring import waiting
from redurable.core.messages import ActivityResult, KeptEvent, RaiseEvent, StartExecution
from redurable.core.values import RuntimeStatus
from tests.support.story import Ctx, Story, raw

Program = Callable[[Ctx], Coroutine[Any, Any, Any]]
NAMES = ("a", "b", "c")


def play(body: Program, *arrivals: str, together: bool = False) -> Any:
    """The result of a program that waits for the events a, b and c, when they come in this order: each in a turn of its
    own, or all in one."""

    async def orchestrator(ctx: Ctx) -> str:
        return json.dumps(await body(ctx))

    story = Story(orchestrator)
    story.turn()
    events = [RaiseEvent(name=name, data=raw(f'"{name}"')) for name in arrivals]
    for batch in [events] if together else [[event] for event in events]:
        story.turn(*batch)
    story.forget()
    story.turn(RaiseEvent(name="end"))
    return json.loads(story.result())


def waits(ctx: Ctx) -> list[asyncio.Future[str]]:
    return [ctx.event(name) for name in NAMES]


async def select(ctx: Ctx) -> Any:
    index, value = await waiting.select(waits(ctx))
    await ctx.event("end")
    return [index, json.loads(value)]


async def select_of_coroutines(ctx: Ctx) -> Any:
    async def wait(name: str) -> str:
        return await ctx.event(name)

    index, value = await waiting.select([wait(name) for name in NAMES])
    await ctx.event("end")
    return [index, json.loads(value)]


async def first_completed(ctx: Ctx) -> Any:
    futures = waits(ctx)
    done, pending = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(pending)) == (1, 2)
    await ctx.event("end")
    (winner,) = done
    return [futures.index(winner), json.loads(winner.result())]


async def first_as_completed(ctx: Ctx) -> Any:
    first = json.loads(await next(iter(asyncio.as_completed(waits(ctx)))))
    await ctx.event("end")
    return [NAMES.index(first), first]


@pytest.mark.parametrize("body", [select, select_of_coroutines, first_completed, first_as_completed])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("arrivals", list(itertools.permutations(NAMES)), ids="".join)
def test_the_first_in_the_history_wins(body: Program, arrivals: tuple[str, ...], together: bool) -> None:
    assert play(body, *arrivals, together=together) == [NAMES.index(arrivals[0]), arrivals[0]]


async def join(ctx: Ctx) -> Any:
    return list(map(json.loads, await waiting.join(waits(ctx))))


async def as_completed(ctx: Ctx) -> Any:
    return [json.loads(await item) for item in asyncio.as_completed(waits(ctx))]


@pytest.mark.parametrize("body", [join, as_completed])
@pytest.mark.parametrize("arrivals", list(itertools.permutations(NAMES)), ids="".join)
def test_all_come_in_the_order_of_the_history(body: Program, arrivals: tuple[str, ...]) -> None:
    assert play(body, *arrivals) == list(arrivals)
    assert play(body, *arrivals, together=True) == list(arrivals)


@pytest.mark.parametrize("arrivals", list(itertools.permutations(NAMES)), ids="".join)
def test_gather_keeps_the_order_of_its_arguments(arrivals: tuple[str, ...]) -> None:
    async def gather(ctx: Ctx) -> Any:
        return list(map(json.loads, await asyncio.gather(*waits(ctx))))

    assert play(gather, *arrivals) == list(NAMES)


@pytest.mark.parametrize("arrivals", list(itertools.permutations(NAMES)), ids="".join)
def test_what_was_done_before_it_was_asked_for_has_its_place_in_the_history(arrivals: tuple[str, ...]) -> None:
    async def later(ctx: Ctx) -> Any:
        async def wait(name: str) -> str:
            return await ctx.event(name)

        futures: list[asyncio.Future[str]] = [asyncio.create_task(wait("a")), ctx.event("b")]
        await ctx.event("end")
        futures.append(ctx.event("c"))
        index, _ = await waiting.select(futures, cancel_losers=False)
        return [index, *map(json.loads, await waiting.join(futures))]

    assert play(later, *arrivals) == [NAMES.index(arrivals[0]), *arrivals]


def test_events_kept_from_the_execution_before_have_the_order_in_which_they_came() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        index, _ = await waiting.select([ctx.event("a"), ctx.event("b")])
        return str(index)

    story = Story(orchestrator)
    kept = (KeptEvent("b"), KeptEvent("a"))
    story.start = StartExecution(name="Story", execution="x1", number=2, kept_events=kept)
    story.turn()
    assert story.result() == "1"


def test_a_failure_may_be_the_first() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        async def fail() -> str:
            await ctx.event("fail")
            raise KeyError("first")

        with pytest.raises(KeyError):
            await waiting.select([ctx.event("a"), fail()])
        with pytest.raises(KeyError):
            await waiting.join([ctx.event("a"), fail()])
        return "1"

    story = Story(orchestrator)
    story.turn(RaiseEvent(name="fail"), RaiseEvent(name="fail"), RaiseEvent(name="a"))
    assert story.result() == "1"


# -- losers


def test_a_wait_that_lost_leaves_the_event_to_the_next_one() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        index, _ = await waiting.select([ctx.event("Evt"), ctx.timer(60)])
        return f"[{index},{await ctx.event('Evt')}]"

    story = Story(orchestrator)
    story.turn()
    story.turn(story.due(1))
    story.forget()
    story.turn(RaiseEvent(name="Evt", data=raw("7")))
    assert story.result() == "[1,7]"


def test_a_wait_that_had_its_event_already_gives_it_back() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        await ctx.event("Go")
        index, _ = await waiting.select([ctx.event("late"), ctx.event("early")])
        return f"[{index},{await ctx.event('late')},{await ctx.event('late')}]"

    story = Story(orchestrator)
    story.turn(RaiseEvent(name="early"), RaiseEvent(name="late", data=raw("1")), RaiseEvent(name="late", data=raw("2")))
    story.forget()
    story.turn(RaiseEvent(name="Go"))
    assert story.result() == "[1,1,2]"


def test_select_cancels_its_losers_when_it_returns() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        losers = [ctx.event("never"), ctx.timer(60), ctx.activity("A"), ctx.child("Kid")]
        index, _ = await waiting.select([*losers, ctx.event("Go")])
        assert all(loser.cancelled() for loser in losers)
        return f"[{index},{await ctx.event('End')}]"

    story = Story(orchestrator)
    story.turn()
    commit = story.turn(RaiseEvent(name="Go"))
    assert (commit.canceled_timers, commit.canceled_calls) == ((1,), (2,))
    assert [(sent.instance, type(sent.message).__name__) for sent in commit.outbox] == [("story:3", "Cancel")]
    story.forget()
    story.turn(RaiseEvent(name="End"))
    assert story.result() == "[4,null]"


def test_select_keeps_its_losers_when_told_to() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        losers = [ctx.event("later"), ctx.activity("A")]
        timer = ctx.timer(60)
        index, _ = await waiting.select([*losers, timer, ctx.event("Go")], cancel_losers=False)
        await timer
        return f"[{index},{','.join(await asyncio.gather(*losers))}]"

    story = Story(orchestrator)
    story.turn()
    commit = story.turn(RaiseEvent(name="Go"))
    assert (commit.events[1:], commit.canceled_timers, commit.canceled_calls) == ((), (), ())
    story.forget()
    story.turn(ActivityResult(execution="x1", seq=1, result=raw("5")), RaiseEvent(name="later", data=raw("6")))
    story.turn(story.due(2))
    assert story.result() == "[3,6,5]"


def test_a_select_that_is_cancelled_cancels_all_that_it_may() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        for cancel_losers in (True, False):
            call = ctx.activity("A")
            try:
                async with asyncio.timeout(60):
                    await waiting.select([call, ctx.event("never")], cancel_losers)
            except TimeoutError:
                assert call.cancelled() is cancel_losers
        return await ctx.event("End")

    story = Story(orchestrator)
    story.turn()
    assert story.turn(story.due(2)).canceled_calls == (1,)
    assert story.turn(story.due(4)).canceled_calls == ()
    assert story.status is RuntimeStatus.RUNNING


def test_asyncio_wait_cancels_nothing() -> None:
    async def orchestrator(ctx: Ctx) -> str:
        futures = [ctx.event("a"), ctx.activity("A")]
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(futures, timeout=60)
        return f"[{','.join(await asyncio.gather(*futures))}]"

    story = Story(orchestrator)
    story.turn()
    assert story.turn(RaiseEvent(name="a", data=raw("1"))).canceled_calls == ()
    assert story.turn(story.due(2)).canceled_calls == ()
    story.turn(ActivityResult(execution="x1", seq=1, result=raw("2")))
    assert story.result() == "[1,2]"


@pytest.mark.parametrize("width", [3, 9])
def test_sets_of_asyncio_wait_iterate_the_same_on_every_replay(width: int) -> None:
    """What is asked for in their order would differ from the history otherwise."""

    async def orchestrator(ctx: Ctx) -> str:
        async def call(number: int) -> str:
            return await ctx.activity("first", str(number))

        calls: list[asyncio.Future[str]] = [asyncio.create_task(call(number)) for number in range(width)]
        calls += [ctx.activity("first", str(width + number)) for number in range(width)]
        numbers = {future: str(number) for number, future in enumerate(calls)}
        pending = set(calls)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for item in (*done, *pending):
                await ctx.activity("second", numbers[item])
        return "1"

    assert Story(orchestrator).play(rounds=2000) == "1"
