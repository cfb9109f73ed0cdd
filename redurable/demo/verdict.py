"""Whether the demo showed what it promises: judged only by what is in the effects file and in the store."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from msgspec import Struct

from redurable.core.events import ActivityCompleted, ActivityFailed, ActivityScheduled, HistoryRow
from redurable.demo.effects import Effect


class Evidence(Struct, frozen=True, kw_only=True):
    """What is left when the story is told. `killed` is the activity that the worker `first_pid` died in, with
    `exit_code`; `at_death` is the history that the store held just after."""

    killed: str
    first_pid: int
    exit_code: int
    at_death: Sequence[HistoryRow]
    effects: Sequence[Effect]
    status: str


class Check(Struct, frozen=True):
    """A promise, and whether it was kept."""

    kept: bool
    promise: str


def judge(evidence: Evidence) -> list[Check]:
    """All promises of the demo."""
    killed = [effect for effect in evidence.effects if effect.activity == evidence.killed]
    earlier, before = _earlier(evidence), _scheduled(evidence) - 1
    return [
        Check(_died_inside(evidence, killed), f"worker {evidence.first_pid} died by SIGKILL inside {evidence.killed}"),
        Check(
            0 < before == len(earlier) and all(len(lines) == 1 for lines in earlier.values()),
            f"each of the {before} activities before has exactly one line in the effects file",
        ),
        Check(
            [effect.attempt for effect in killed] == [1, 2] and len({effect.key for effect in killed}) == 1,
            f"{evidence.killed} has two lines, attempts 1 and 2, and one idempotency key",
        ),
        Check(
            evidence.status == "Completed", f"the status read back from the store is {evidence.status or '(nothing)'}"
        ),
    ]


def _died_inside(evidence: Evidence, killed: Sequence[Effect]) -> bool:
    """It had begun there, and the store has heard of no end."""
    begun_there = bool(killed) and killed[0].pid == evidence.first_pid
    ended = sum(isinstance(event, ActivityCompleted | ActivityFailed) for event in evidence.at_death)
    return evidence.exit_code == -signal.SIGKILL and begun_there and ended == _scheduled(evidence) - 1


def _scheduled(evidence: Evidence) -> int:
    """How many activities the store knew of when the worker died; the killed one is one of them."""
    return sum(isinstance(event, ActivityScheduled) for event in evidence.at_death)


def _earlier(evidence: Evidence) -> dict[str, list[Effect]]:
    """The lines of each other activity that the first worker began, by idempotency key."""
    keys = [effect.key for effect in evidence.effects if effect.pid == evidence.first_pid]
    lines = {key: [effect for effect in evidence.effects if effect.key == key] for key in keys}
    return {key: found for key, found in lines.items() if found[0].activity != evidence.killed}
