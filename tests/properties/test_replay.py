"""Whatever a program does and in whichever order the world answers: how its messages are cut into turns, who takes the
turns and what they remember makes no difference."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from redurable.core.events import ExecutionCompleted
from redurable.core.messages import Cancel, RaiseEvent, Resume, Suspend
from tests.properties.bounds import tried
from tests.properties.drawn import alone, programs, scripts, together
from tests.properties.lives import Life, lived_again, sent, told
from tests.properties.programs import Activity, Catch, Fail, Group, Node
from tests.properties.worlds import Move, Said, Step, live, live_again


@tried(200)
@given(programs, scripts)
def test_replay_is_a_fixed_point(program: Node, moves: list[Move]) -> None:
    """A program that is fed its own history decides the same, and doing so once more changes nothing."""
    life, _ = live(program, moves)
    drafts = [lived_again(history) for history in life.histories]
    assert [told(draft.events) for draft in drafts] == [told(history) for history in life.histories]
    assert [task for draft in drafts for task in draft.tasks.values()] == life.tasks
    assert [sent(item) for draft in drafts for item in draft.outbox] == [sent(item) for item in life.outbox]
    for draft in drafts:
        again = lived_again(draft.events)
        assert told(again.events) == told(draft.events)
        assert (again.tasks, again.outbox, again.timers) == (draft.tasks, draft.outbox, draft.timers)
    life.end()


@tried(200)
@given(programs, scripts, alone)
def test_warm_cold_and_evicted_replays_agree(program: Node, moves: list[Move], steps: list[Step]) -> None:
    """Several workers take turns, each with a replay as old as its last turn, or none, or without the code."""
    life, other = _same(program, moves, steps)
    assert other.notes == life.notes
    assert not [note for note in life.notes if "ContinuedAsNew" in note]


@tried(200)
@given(programs, scripts, together)
def test_messages_may_be_split_anywhere(program: Node, moves: list[Move], steps: list[Step]) -> None:
    """The same messages in the same order give the same history, however they are cut into turns."""
    _same(program, moves, steps)


@tried(150)
@given(programs, scripts, together, st.lists(st.integers(0, 30), min_size=1))
def test_a_message_admitted_twice_is_admitted_once(
    program: Node, moves: list[Move], steps: list[Step], picks: list[int]
) -> None:
    """What is delivered again, at once or long after, means nothing."""
    life, sayings = live(program, moves)
    doubled: list[Said] = []
    for number, said in enumerate(sayings):
        doubled.append(said)
        if isinstance(said.message, Suspend | Resume):
            doubled.append(said)
        again = [earlier for earlier in sayings[: number + 1] if _once(earlier)]
        if again:
            doubled.append(again[-1 - picks[number % len(picks)] % len(again)])
    other = live_again(program, doubled, steps)
    assert other.told() == life.told()
    life.end()
    other.end()


def test_siblings_are_cancelled_in_the_order_in_which_they_began() -> None:
    """anyio would reach them in the order of their addresses in memory."""
    waits = [Activity(str(number)) for number in range(8)]
    life = Life(Catch(Group([*waits, Fail()], how="anyio")))
    life.turn()
    end = life.history[-1]
    assert isinstance(end, ExecutionCompleted)
    log = msgspec.json.decode(end.result, type=list[str])
    assert [line for line in log if "Cancelled" in line] == [f"p.0.try.{number} CancelledError" for number in range(8)]


def _same(program: Node, moves: list[Move], steps: list[Step]) -> tuple[Life, Life]:
    life, sayings = live(program, moves)
    other = live_again(program, sayings, steps)
    assert other.told() == life.told()
    life.end()
    other.end()
    return life, other


def _once(said: Said) -> bool:
    """True for messages that carry what tells a repetition."""
    if isinstance(said.message, RaiseEvent | Cancel):
        return bool(said.message.id)
    return said.number is not None
