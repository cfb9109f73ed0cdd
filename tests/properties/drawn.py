"""How programs, scripts of the world and ways to take messages are drawn."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st

from tests.properties import programs as p
from tests.properties.worlds import Kind, Move, Step

MOST_LEAVES = 8
MOST_MOVES = 25
SECONDS = st.integers(0, 3)

Nodes = st.SearchStrategy[p.Node]


def _several(nodes: Nodes) -> Nodes:
    some = cast("Any", st.lists(nodes, min_size=2, max_size=4))
    how = st.sampled_from
    return st.one_of(
        st.builds(p.Chain, some),
        st.builds(p.Gather, some, tolerant=st.booleans()),
        st.builds(p.Wait, some, when=how(["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]), seconds=SECONDS),
        st.builds(p.AsCompleted, some, seconds=SECONDS),
        st.builds(p.Select, some),
        st.builds(p.Join, some),
        st.builds(p.Group, some, how=how(["asyncio", "anyio"])),
    )


def _around(nodes: Nodes) -> Nodes:
    one = cast("Any", nodes)
    return st.one_of(
        st.builds(
            p.Limit, one, seconds=SECONDS, how=st.sampled_from(["timeout", "wait_for", "move_on_after", "fail_after"])
        ),
        st.builds(p.Shield, one),
        st.builds(p.Spawn, one),
        st.builds(p.Cancel, one, first=one),
        st.builds(p.Catch, one),
        st.builds(p.Finally, one, cleanup=one, shielded=st.booleans()),
        st.builds(p.Locked, one),
        st.builds(p.Again, one, keep_events=st.booleans()),
    )


_waits: Nodes = st.one_of(
    st.builds(p.Activity, st.sampled_from(["a", "b"])),
    st.builds(p.Sleep, SECONDS, st.sampled_from(["asyncio", "anyio", "timer"])),
    st.builds(p.Event, st.sampled_from(p.EVENTS), SECONDS),
    st.builds(p.Child, st.sampled_from(["c"]), st.integers(1, 3)),
)
_others: Nodes = st.one_of(
    st.builds(p.Tell, st.sampled_from(["event", "start", "status"])), st.builds(p.Look), st.builds(p.Fail)
)
_nodes: Nodes = st.recursive(
    st.one_of(_waits, _waits, _waits, _waits, _others),
    lambda nodes: st.one_of(_several(nodes), _several(nodes), _around(nodes)),
    max_leaves=MOST_LEAVES,
)


def _attempts(nodes: list[p.Node]) -> p.Node:
    return p.Chain([cast("Any", p.Catch(cast("Any", node))) for node in nodes])


programs: Nodes = st.lists(_nodes, min_size=1, max_size=4).map(_attempts)
"""Several attempts at something, one after the other: one that fails does not end the program."""

_kinds: list[Kind] = [
    *["answer"] * 5,
    *["fail", "event"] * 2,
    "suspend",
    "resume",
    "terminate",
    *["cancel"] * 2,
    "noise",
]  # pyright: ignore[reportAssignmentType]
scripts = st.lists(st.builds(Move, st.sampled_from(_kinds), st.integers(0, 7)), max_size=MOST_MOVES)

workers = st.integers(0, 2)
alone = st.lists(
    st.builds(Step, workers, forget=st.booleans(), clueless=st.booleans()), min_size=1, max_size=MOST_MOVES
)
"""Every message gets a turn of its own."""
together = st.lists(st.builds(Step, workers, hold=st.booleans(), forget=st.booleans()), min_size=1, max_size=MOST_MOVES)
"""Messages are taken in portions."""
