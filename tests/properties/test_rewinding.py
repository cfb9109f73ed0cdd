"""Any program can go back to any place of its history: what is kept replays, and it goes on from there."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from redurable.core.codec import encode
from redurable.core.events import Event, ExecutionReset, ExecutionStarted, InputEvent
from redurable.core.values import RuntimeStatus
from tests.properties.bounds import tried
from tests.properties.drawn import programs, scripts
from tests.properties.lives import Life
from tests.properties.programs import Event as Waits
from tests.properties.programs import Node
from tests.properties.worlds import Kind, Move, live, live_on, settle


@tried(150)
@given(programs, scripts, st.lists(st.integers(0, 100), min_size=1, max_size=3))
@example(Waits("A", 0), [], [0, 2])
def test_a_reset_leads_to_a_history_that_replays(program: Node, moves: list[Move], picks: list[int]) -> None:
    """Also one reset after the other; every turn is decided from the cache and without, and both agree."""
    life, _ = live(program, moves)
    for pick in picks:
        before = life.history
        valid = [at for at, event in enumerate(before) if isinstance(event, InputEvent)]
        position = valid[pick % len(valid)]
        life.reset(position)
        settle(life)
        assert not life.parks
        _check(life, before, position)
        live_on(life)
    life.end()


@tried(150)
@given(programs, scripts, st.sampled_from(["fail", "cancel", "terminate"]))
def test_a_rewind_leads_to_a_history_that_replays(program: Node, moves: list[Move], how: Kind) -> None:
    life, _ = live(program, [*moves, Move(how, 0)])
    assume(life.status.finished and life.status is not RuntimeStatus.COMPLETED)
    for _ in range(2):
        if life.status is RuntimeStatus.COMPLETED or not life.status.finished:
            break
        ended = life.history
        life.rewind()
        assert life.status is RuntimeStatus.RUNNING
        settle(life)
        assert not life.parks
        assert any(history is ended for history in life.histories)
        live_on(life)
    life.end()


def _check(life: Life, before: list[Event], position: int) -> None:
    """The history that was gone back in is as it was, and the next one begins with what was kept of it: nothing, where
    there was nothing but its start and how it had come there."""
    at = next(number for number, history in enumerate(life.histories) if history is before)
    following = life.histories[at + 1]
    begun = any(not isinstance(event, ExecutionStarted | ExecutionReset) for event in before[:position])
    kept = position if begun else 0
    assert [encode(event) for event in following[1:kept]] == [encode(event) for event in before[1:kept]]
    resets = [number for number, event in enumerate(following) if isinstance(event, ExecutionReset)]
    assert resets[-1] >= kept
    assert len(resets) == 1 or begun
