"""The world around an instance: it answers what a program asks for, in any order, and does what nobody asked for.

A world follows a script of moves, so that a failure can be repeated and made small. What it says does not depend on the
ids of executions and turns, so the same can be said to another life, in other portions and to other workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from redurable.core.events import (
    ActivityCancelRequested,
    ActivityScheduled,
    SubOrchestrationCancelRequested,
    TimerCreated,
)
from redurable.core.messages import (
    ActivityFailure,
    ActivityResult,
    Cancel,
    Malformed,
    Message,
    RaiseEvent,
    Resume,
    SubOrchestrationFailure,
    SubOrchestrationResult,
    Suspend,
    Terminate,
    TimerDue,
)
from redurable.core.state import State
from redurable.core.values import Failure, RuntimeStatus
from tests.properties.lives import Life
from tests.properties.programs import EVENTS, Node

ROUNDS = 60
"""After so many answers behind the script a program that still goes on is left alone."""

Kind = Literal["answer", "fail", "event", "suspend", "resume", "terminate", "cancel", "noise"]


class Move(Struct, frozen=True):
    """What happens next; `which` chooses among what is possible."""

    kind: Kind
    which: int


class Said(Struct, frozen=True):
    """A message, and the number of the execution that it is meant for; None: whichever there is."""

    message: Message | Malformed
    number: int | None = None


class Step(Struct, frozen=True):
    """How a message is taken: by which worker; `hold`: only together with the next one; `forget`: that worker drops its
    replay before; `clueless`: first comes a worker that does not know the code."""

    worker: int = 0
    hold: bool = False
    forget: bool = False
    clueless: bool = False


def live(program: Node, moves: Sequence[Move]) -> tuple[Life, list[Said]]:
    """A life in which every message gets a turn of its own, from one worker that forgets nothing; and what was said."""
    life = Life(program)
    settle(life)
    sayings: list[Said] = []
    for said in _say(life, moves):
        sayings.append(said)
        life.put(said.message)
        settle(life)
    return life, sayings


def live_on(life: Life) -> None:
    """All that is open is answered, until the life ends, or nothing more comes of it."""
    settle(life)
    for said in _say(life, ()):
        life.put(said.message)
        settle(life)


def live_again(program: Node, sayings: Sequence[Said], steps: Sequence[Step]) -> Life:
    """The same is said to another life; each message is taken as its step says."""
    life = Life(program, workers=3)
    if not steps[0].hold:
        settle(life)
    for number, said in enumerate(sayings):
        step = steps[number % len(steps)]
        if said.number is not None and said.number >= len(life.executions):
            settle(life, step)
        if isinstance(said.message, Terminate | Cancel):
            settle(life)  # What is ended before its first turn never begins.
        life.put(_meant_for(life, said))
        if not step.hold:
            settle(life, step)
    settle(life)
    return life


def settle(life: Life, step: Step | None = None) -> None:
    """Take turns until nothing is left to read."""
    step = step or Step()
    if step.forget:
        life.forget(step.worker)
    if step.clueless and life.start is None:
        life.turn(step.worker, code=False)
    while life.start or life.mailbox:
        life.turn(step.worker)


def _say(life: Life, moves: Sequence[Move]) -> Iterator[Said]:
    """Move by move; the life has taken its turn when the next is asked for. Behind the script, all that is open is
    answered in its order."""
    for number, move in enumerate(moves):
        if life.status.finished:
            return
        said = _said(life, move, number)
        if said is not None:
            yield said
    for number in range(len(moves), len(moves) + ROUNDS):
        if life.status.finished:
            return
        if life.status is RuntimeStatus.SUSPENDED:
            yield Said(Resume())
        else:
            yield _outcome(life, 0, failed=False) or Said(_event(number, number))


def _said(life: Life, move: Move, number: int) -> Said | None:
    match move.kind:
        case "answer" | "fail":
            return _outcome(life, move.which, failed=move.kind == "fail")
        case "event":
            return Said(_event(move.which, number))
        case "suspend":
            return Said(Suspend(reason=str(number)))
        case "resume":
            return Said(Resume())
        case "terminate":
            return Said(Terminate(reason="enough"))
        case "cancel":
            return Said(Cancel(reason="no stock", id=f"c{number}"))
        case "noise":
            return Said(_noise(life, move.which))


def _event(which: int, number: int) -> RaiseEvent:
    name = f"e{number}" if which % 3 else ""
    return RaiseEvent(name=EVENTS[which % len(EVENTS)], data=Raw(str(number).encode()), id=name)


def _outcome(life: Life, which: int, *, failed: bool) -> Said | None:
    state = State()
    state.fold(life.history)
    if not state.open:
        return None
    seq = sorted(state.open)[which % len(state.open)]
    asked, execution = state.open[seq], life.execution
    failure, result = Failure("Broken", str(seq), attempts=3), Raw(str(seq).encode())
    match asked:
        case TimerCreated(due=due):
            message: Message = TimerDue(execution=execution, seq=seq, due=due)
        case ActivityScheduled() if failed:
            message = ActivityFailure(execution=execution, seq=seq, failure=failure)
        case ActivityScheduled():
            message = ActivityResult(execution=execution, seq=seq, result=result)
        case _ if failed:
            message = SubOrchestrationFailure(execution=execution, seq=seq, failure=failure)
        case _:
            message = SubOrchestrationResult(execution=execution, seq=seq, result=result)
    return Said(message, len(life.executions) - 1)


def _noise(life: Life, which: int) -> Message | Malformed:
    """What says nothing to this instance."""
    noise: list[Message | Malformed] = [
        ActivityResult(execution=life.execution, seq=100_000),
        ActivityResult(execution=life.execution, seq=_canceled(life)),
        SubOrchestrationResult(execution=life.execution, seq=_canceled(life)),
        TimerDue(execution="gone", seq=1, due=1),
        SubOrchestrationFailure(execution="gone", seq=1, failure=Failure("Broken", "")),
        RaiseEvent(execution="gone", name=EVENTS[0]),
        Malformed("no message", ((b"a", b"b"),)),
    ]
    return noise[which % len(noise)]


def _canceled(life: Life) -> int:
    """The number of a call that was cancelled, if there is one."""
    asked = [e.seq for e in life.history if isinstance(e, ActivityCancelRequested | SubOrchestrationCancelRequested)]
    return asked[-1] if asked else 100_001


def _meant_for(life: Life, said: Said) -> Message | Malformed:
    if said.number is None or isinstance(said.message, Malformed):
        return said.message
    return msgspec.structs.replace(said.message, execution=life.executions[said.number])
