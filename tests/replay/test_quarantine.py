"""What kills its workers is held: no user code runs for it, and only a termination is heard, until it is redriven."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from redurable.core.definition import Definition
from redurable.core.delivery import Delivery, Difference, Entry, TurnCommit
from redurable.core.messages import (
    ActivityResult,
    Mail,
    Message,
    RaiseEvent,
    Resume,
    StartExecution,
    Suspend,
    Terminate,
)
from redurable.core.turn import TurnInput, take_turn
from redurable.core.values import Arguments, RuntimeStatus
from tests.replay.test_execution_timeout import limited, out_of_time, wait
from tests.support.story import PARKING, T0, Ctx, Story, TextDefinition, raw

MOST = 3


async def deadly(ctx: Ctx) -> str:
    raise AssertionError("user code ran")


def _turn(
    *messages: Message, deliveries: int = MOST + 1, held: bool = False, definition: Definition | None = None
) -> TurnCommit:
    """The first turn of an instance with this mail."""
    mails = tuple(Mail(f"{T0}-{number}", message) for number, message in enumerate(messages, 1))
    delivery = Delivery(
        Entry(0, "1-1", "story", deliveries),
        T0,
        head="x1",
        status=RuntimeStatus.PENDING,
        name="Story",
        execution="x1",
        start=StartExecution(name="Story", execution="x1", call=Arguments(input=raw("1"))),
        mails=mails,
        held=held,
        heard=mails[-1].id if mails else "",
    )
    chosen = definition or TextDefinition(deadly)
    return take_turn(chosen, TurnInput(delivery, None, "h1", "3.12", PARKING, most_deliveries=MOST)).commit


def test_too_many_deliveries_are_poison() -> None:
    commit = _turn(RaiseEvent(name="e"))
    assert commit.park is not None
    assert (commit.park.reason, commit.park.retry_ms) == ("poison", None)
    assert commit.park.detail.startswith("3 workers fell silent in a turn of it")
    assert (commit.consumed, commit.events, commit.start_consumed) == ("", (), False)


def test_up_to_the_limit_the_turn_is_taken() -> None:
    async def harmless(ctx: Ctx) -> str:
        return "fine"

    commit = _turn(deliveries=MOST, definition=TextDefinition(harmless))
    assert (commit.park, commit.status) == (None, RuntimeStatus.COMPLETED)


@pytest.mark.parametrize("messages", [(), (RaiseEvent(name="e"),), (Suspend(),), (Suspend(), Resume())])
def test_held_is_only_released_whatever_comes(messages: Sequence[Message]) -> None:
    heard = f"{T0}-{len(messages)}" if messages else ""
    commit = _turn(*messages, deliveries=1, held=True)
    assert commit == TurnCommit(entry=commit.entry, expected="x1", head="h1", execution="x1", heard=heard)


@pytest.mark.parametrize(("deliveries", "held"), [(MOST + 1, False), (1, True)])
def test_it_can_be_terminated(deliveries: int, held: bool) -> None:
    commit = _turn(RaiseEvent(name="e"), Terminate(reason="enough"), deliveries=deliveries, held=held)
    assert (commit.status, commit.park) == (RuntimeStatus.TERMINATED, None)
    assert commit.start_consumed
    assert commit.consumed == f"{T0}-2"
    assert [letter.instance for letter in commit.dead] == ["story"]


def test_held_hears_its_end_behind_much_mail_and_says_what_it_heard() -> None:
    delivery = Delivery(
        Entry(0, "1-1", "story", MOST + 1),
        T0,
        head="x1",
        status=RuntimeStatus.PENDING,
        name="Story",
        execution="x1",
        start=StartExecution(name="Story", execution="x1", call=Arguments(input=raw("1"))),
        mails=tuple(Mail(f"{T0}-{number}", RaiseEvent(name="e")) for number in range(1, 101)),
        heard=f"{T0}-101",
    )
    for control, ends in ((Suspend(), False), (Terminate(), True)):
        rung = msgspec.structs.replace(delivery, control=Mail(f"{T0}-101", control))
        for held in (False, True):
            given = TurnInput(
                msgspec.structs.replace(rung, held=held), None, "h1", "3.12", PARKING, most_deliveries=MOST
            )
            commit = take_turn(TextDefinition(deadly), given).commit
            assert commit.status == (RuntimeStatus.TERMINATED if ends else None)
            assert commit.heard == f"{T0}-101"
            assert (commit.park is not None) == (not held and not ends)


def test_a_delayed_start_waits_for_its_time_and_is_not_poison() -> None:
    delivery = Delivery(
        Entry(0, "1-1", "story", MOST + 1),
        T0,
        head="x1",
        status=RuntimeStatus.PENDING,
        name="Story",
        execution="x1",
        start=StartExecution(name="Story", execution="x1"),
        parked_until=T0 + 1,
    )
    given = TurnInput(delivery, None, "h1", "3.12", PARKING, most_deliveries=MOST)
    commit = take_turn(TextDefinition(deadly), given).commit
    assert (commit.park, commit.events, commit.start_consumed, commit.heard) == (None, (), False, "")


def test_held_hears_that_its_time_is_over() -> None:
    story = limited(wait)
    story.turn()
    story.forget()
    delivery = Delivery(
        Entry(0, "1-1", "story"),
        T0,
        head="h1",
        status=RuntimeStatus.RUNNING,
        name="Story",
        execution="x1",
        mails=(Mail(f"{T0}-1", RaiseEvent(name="e")), Mail(f"{T0}-2", out_of_time(story))),
        events=tuple(story.history),
        held=True,
    )
    commit = take_turn(TextDefinition(deadly), TurnInput(delivery, None, "h2", "3.12", PARKING)).commit
    assert (commit.status, commit.park) == (RuntimeStatus.FAILED, None)
    assert commit.consumed == f"{T0}-2"


def test_the_difference_comes_in_parts() -> None:
    async def original(ctx: Ctx) -> str:
        return await ctx.activity("A", "1")

    async def changed(ctx: Ctx) -> str:
        return await ctx.activity("B", "1")

    story = Story(original)
    story.turn()
    story.forget()
    story.definition = TextDefinition(changed)
    park = story.turn(ActivityResult(execution="x1", seq=1, result=raw("1"))).park
    assert park is not None
    assert park.difference is not None
    assert replace(park.difference, place="") == Difference(
        1, "ActivityScheduled seq=1 name='A' (1)", "ScheduleActivity name='B' (1)"
    )
    assert park.difference.place.endswith(", in Ctx.activity")
