"""External events: first in, first out per name, every wait takes its own."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from msgspec import Raw

from redurable.authoring.waiting import select
from redurable.core.events import ExecutionCompleted
from redurable.core.messages import ActivityResult, Malformed, RaiseEvent, Resume, Suspend, Terminate
from redurable.core.values import ActivityOptions, Arguments, RuntimeStatus
from tests.support.story import Ctx, Story, raw, text


def event(name: str, data: str = "null", event_id: str = "") -> RaiseEvent:
    return RaiseEvent(name=name, data=raw(data), id=event_id)


def result(story: Story) -> str:
    end = story.history[-1]
    assert isinstance(end, ExecutionCompleted)
    return text(end.result)


def test_events_before_the_wait_are_kept_in_order_per_name() -> None:
    async def patient(ctx: Ctx) -> str:
        await ctx.activity("A")
        got = [await ctx.event("a"), await ctx.event("b"), await ctx.event("a")]
        return f"[{','.join(got)}]"

    story = Story(patient)
    story.turn(event("a", "1"), event("a", "2"), event("b", "3"))
    story.turn(ActivityResult(execution="x1", seq=1))
    assert result(story) == "[1,3,2]"


def test_every_wait_reserves_its_own_event_in_call_order() -> None:
    async def two(ctx: Ctx) -> str:
        first, second = ctx.event("e"), ctx.event("e")
        return f"[{await second},{await first}]"

    story = Story(two)
    story.turn()
    story.turn(event("e", "1"))
    story.turn(event("E", "9"), event("e", "2"))
    assert result(story) == "[2,1]"


def test_a_wait_that_was_cancelled_gives_its_slot_back() -> None:
    async def losing(ctx: Ctx) -> str:
        try:
            await asyncio.wait_for(ctx.event("e"), 5)
        except TimeoutError:
            return await ctx.event("e")
        return "0"

    story = Story(losing)
    story.turn()
    story.turn(story.due(1))
    story.turn(event("e", "1"))
    assert result(story) == "1"


def test_an_event_id_is_taken_once() -> None:
    async def count(ctx: Ctx) -> str:
        return f"[{await ctx.event('e')},{await ctx.event('e')}]"

    story = Story(count)
    story.turn(event("e", "1", "i1"))
    story.turn(event("e", "1", "i1"), event("e", "1", "i1"))
    assert story.kinds().count("EventRaised") == 1
    story.turn(event("e", "2", "i2"))
    assert result(story) == "[1,2]"


def test_mail_that_cannot_be_read_becomes_a_dead_letter_and_stops_nobody() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    story = Story(one)
    commit = story.turn(Malformed("no field", ((b"x", b"\xff"),)), event("e", "1"))
    assert result(story) == "1"
    assert [(letter.reason, letter.fields) for letter in commit.dead] == [("no field", ((b"x", b"\xff"),))]
    assert commit.consumed.endswith("-2")


def test_events_after_the_end_are_dead_letters() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    story = Story(one)
    commit = story.turn(event("e", "1"), event("late", "2"))
    assert commit.consumed.endswith("-2")
    assert [letter.reason for letter in commit.dead] == ["the instance has finished"]
    after = story.turn(event("later", "3"))
    assert after.events == ()
    assert [letter.reason for letter in after.dead] == ["the instance has finished"]


def test_the_loser_of_a_select_gives_its_event_to_the_next_wait() -> None:
    async def choose(ctx: Ctx) -> str:
        await ctx.activity("A")
        index, first = await select([ctx.event("a"), ctx.event("b"), ctx.event("b")])
        return f"[{index},{first},{await ctx.event('a')},{await ctx.event('b')}]"

    story = Story(choose)
    story.turn(event("b", "1"), event("b", "2"), event("a", "3"))
    assert story.unread == {"a": 1, "b": 2}
    story.turn(ActivityResult(execution="x1", seq=1))
    assert result(story) == "[1,1,3,2]"
    assert story.unread == {}


@pytest.mark.parametrize("waits_already", [True, False])
def test_an_event_that_comes_with_the_cancellation_of_its_wait_goes_to_the_next(waits_already: bool) -> None:
    async def meet(ctx: Ctx) -> str:
        async def read(wait: asyncio.Future[str]) -> str:
            return await wait

        first = ctx.event("e")
        second = ctx.event("e") if waits_already else None
        first.add_done_callback(lambda _: reader.cancel())
        reader = asyncio.create_task(read(first))
        assert (await asyncio.wait([reader])) == ({reader}, set())
        assert (reader.cancelled(), first.cancelled()) == (True, True)
        with pytest.raises(asyncio.CancelledError):
            await first
        return f"[{await (second or ctx.event('e'))},{await ctx.event('e')}]"

    story = Story(meet)
    story.turn()
    story.turn(event("e", "1"))
    story.forget()
    story.turn(event("e", "2"))
    assert result(story) == "[1,2]"


def test_an_event_that_another_task_waits_for_is_not_given_away() -> None:
    async def share(ctx: Ctx) -> str:
        async def read() -> str:
            return await shared

        shared = ctx.event("e")
        shared.add_done_callback(lambda _: readers[0].cancel())
        readers = [asyncio.create_task(read()), asyncio.create_task(read())]
        await asyncio.wait(readers)
        assert readers[0].cancelled()
        return f"[{readers[1].result()},{await ctx.event('e')}]"

    story = Story(share)
    story.turn()
    story.turn(event("e", "1"))
    story.turn(event("e", "2"))
    assert result(story) == "[1,2]"


@pytest.mark.parametrize("together", [True, False])
def test_the_event_behind_a_timeout_goes_to_the_next_wait(together: bool) -> None:
    async def timed(ctx: Ctx) -> str:
        async def patient() -> str:
            return await ctx.event("e")

        async def hurried() -> str:
            try:
                async with asyncio.timeout(5):
                    return await ctx.event("e")
            except TimeoutError:
                return '"late"'

        return f"[{','.join(await asyncio.gather(hurried(), patient()))}]"

    story = Story(timed)
    story.turn()
    if together:
        story.turn(story.due(1), event("e", "1"))
    else:
        story.turn(Suspend())
        story.turn(story.due(1), event("e", "1"))
        assert story.unread == {"e": 1}
        story.forget()
        story.turn(Resume())
    assert result(story) == '["late",1]'
    assert story.unread == {}


def test_many_waits_that_timed_out_are_not_kept() -> None:
    async def polling(ctx: Ctx) -> str:
        while True:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(ctx.event("e"), 1)

    story = Story(polling)
    story.turn()
    for seq in range(1, 51):
        story.turn(story.due(seq))
    assert story.known is not None
    assert sum(map(len, story.known.replay.scope.mail._waiting.values())) <= 2  # pyright: ignore[reportPrivateUsage]
    story.turn(event("e", "1"))
    assert result(story) == "1"


def test_names_are_case_sensitive_and_each_has_its_depth() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("go")

    story = Story(one)
    waits = {"go": -story.now}
    assert story.turn().unread == waits
    assert story.turn(event("Go", "1"), event("GO", "2"), event("Go", "3")).unread == {"Go": 2, "GO": 1, **waits}
    story.forget()
    assert story.turn(event("go", "4")).unread == {"Go": 2, "GO": 1}
    assert (result(story), story.unread) == ("4", {"Go": 2, "GO": 1})


@pytest.mark.parametrize("keep", [True, False])
def test_events_left_over_at_continue_as_new(keep: bool) -> None:
    async def rounds(ctx: Ctx) -> str:
        await ctx.event("go")
        if ctx.input == "1":
            ctx.scope.continue_as_new(Arguments(input=raw("2")), keep)
        return f"[{await ctx.event('e')},{await ctx.event('e')}]"

    story = Story(rounds, "1")
    story.turn(event("e", "1", "i1"), event("e", "2"))
    commit = story.turn(event("go"))
    assert commit.next is not None
    assert [kept.name for kept in commit.next.kept_events] == (["e", "e"] if keep else [])
    assert story.unread == ({"e": 2} if keep else {})
    depths = {"e": 2} if keep else {}  # Its id is remembered also where the event was dropped.
    assert story.turn(event("e", "1", "i1")).unread == {**depths, "go": -story.now}
    story.turn(event("e", "3"), event("e", "4"), event("go"))
    assert result(story) == ("[1,2]" if keep else "[3,4]")
    assert story.unread == ({"e": 2} if keep else {})


def test_waits_are_told_with_the_time_since_which_they_wait() -> None:
    async def several(ctx: Ctx) -> str:
        first = ctx.event("a")
        await ctx.event("go")
        second = ctx.event("b")
        return await first + await second

    story = Story(several)
    begun = story.now
    assert story.turn().unread == {"a": -begun, "go": -begun}
    story.now += 5_000
    assert story.turn(event("go")).unread == {"a": -begun, "b": -story.now}
    story.forget()
    assert story.turn(event("other")).unread == {"other": 1, "a": -begun, "b": -begun - 5_000}
    assert story.turn(Suspend()).unread is None
    story.turn(event("a", "1"))
    assert story.unread == {"other": 1, "a": 1, "b": -begun - 5_000}, "it is not taken before the instance goes on"
    story.turn(Resume())
    assert story.turn(event("b", "2")).unread == {"other": 1}, "what has ended waits for nothing"
    assert result(story) == "12"


def test_what_is_recorded_without_code_counts_as_unread() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    story = Story(one)
    story.turn(event("other"))
    definition, story.definition = story.definition, None
    story.forget()
    story.turn(Suspend(), event("e", "1"), event("other"))
    assert story.unread == {"other": 2, "e": 1}
    story.definition = definition
    story.turn(Resume())
    assert (result(story), story.unread) == ("1", {"other": 2})


def test_a_delayed_start_hears_only_what_ends_it() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    for known in (one, None):
        story = Story(known)
        story.parked_until = story.now + 60_000
        commit = story.turn(event("e", "1"), Suspend(), Resume())
        assert (commit.events, commit.consumed, commit.start_consumed, commit.park) == ((), "", False, None)
        assert story.start is not None
        commit = story.turn(event("e", "1"), Terminate(reason="enough"))
        assert (story.status, commit.start_consumed) == (RuntimeStatus.TERMINATED, True)
        assert [letter.reason for letter in commit.dead] == ["the instance has finished"]
        assert story.kinds() == ["ExecutionStarted", "ExecutionTerminated"]

    story = Story(one)
    story.parked_until = story.now + 60_000
    story.turn(Suspend())
    story.turn(Suspend(), event("e", "1"), Resume(), after=60)
    assert result(story) == "1"


def test_a_parked_instance_is_ended_by_what_lies_behind_its_mail() -> None:
    for parked_until in (0, 60_000):
        story = Story(None)
        story.parked_until = story.now + parked_until if parked_until else 0
        commit = story.turn(event("e"), event("e"), control=Terminate())
        assert story.status is RuntimeStatus.TERMINATED
        assert len(commit.dead) == 2
        assert commit.consumed.endswith("-2")  # The rest goes in pages of its own.


def test_a_suspension_behind_the_mail_lets_it_be_recorded() -> None:
    async def one(ctx: Ctx) -> str:
        return await ctx.event("e")

    story = Story(one)
    story.turn()
    definition, story.definition = story.definition, None
    story.forget()
    commit = story.turn(event("e", "1"), control=Suspend(reason="audit"))
    assert story.kinds()[-2:] == ["ExecutionSuspended", "EventRaised"]
    assert (commit.park, commit.consumed.endswith("-1")) == (None, True)
    assert story.turn(Suspend(reason="audit")).events == ()
    story.definition = definition
    story.turn(Resume())
    assert result(story) == "1"


class Panic(BaseException):
    """As extension modules raise it."""


@pytest.mark.parametrize(("error", "told"), [(StopIteration, "RuntimeError"), (Panic, "Panic"), (KeyError, "KeyError")])
def test_whatever_a_validator_raises_fails_the_wait_or_the_call(error: type[BaseException], told: str) -> None:
    def validator(_: Raw) -> str:
        raise error("not this")

    async def reading(ctx: Ctx) -> str:
        call = ctx.scope.call_activity("A", Arguments(), ActivityOptions(), validator)
        said: list[str] = []
        for future in (call, ctx.scope.wait_for_event("e", validator)):
            try:
                await future
            except BaseException as caught:
                said.append(type(caught).__name__)
        return " ".join(said)

    story = Story(reading)
    story.turn()
    story.turn(ActivityResult(execution="x1", seq=1), event("e", "1"))
    assert result(story) == f"{told} {told}"
