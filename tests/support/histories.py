"""What must be true of every history, whatever was killed while it was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redurable.core.events import (
    ActivityCompleted,
    ActivityFailed,
    ActivityScheduled,
    ExecutionCompleted,
    ExecutionReset,
    ExecutionRewound,
    ExecutionStarted,
    HistoryRow,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    SubOrchestrationScheduled,
    TimerCanceled,
    TimerCreated,
    TimerFired,
)

_PAIRS = (
    (ActivityScheduled, (ActivityCompleted, ActivityFailed)),
    (TimerCreated, (TimerFired, TimerCanceled)),
    (SubOrchestrationScheduled, (SubOrchestrationCompleted, SubOrchestrationFailed)),
)


def check_completed(history: Sequence[HistoryRow]) -> None:
    """One chain from its start to its completion, in which whatever was asked for has exactly one end, behind it."""
    kinds = [type(event).__name__ for event in history]
    assert kinds.count("ExecutionStarted") == 1, kinds
    assert kinds.count("ExecutionCompleted") == 1, kinds
    assert isinstance(history[0], ExecutionStarted), kinds
    assert isinstance(history[-1], ExecutionCompleted), kinds
    asked = [event.seq for event in history if isinstance(event, tuple(begin for begin, _ in _PAIRS))]
    assert len(set(asked)) == len(asked), f"two calls have one number: {asked} in {kinds}"
    for begin, ends in _PAIRS:
        begun = {event.seq: at for at, event in enumerate(history) if isinstance(event, begin)}
        ended = [(event.seq, at) for at, event in enumerate(history) if isinstance(event, ends)]
        assert sorted(seq for seq, _ in ended) == sorted(begun), f"{begin.__name__}: ended {ended}, begun {begun}"
        assert all(begun[seq] < at for seq, at in ended), f"{begin.__name__}: ended {ended}, begun {begun}"
    _check_chain(history)


def _check_chain(history: Sequence[HistoryRow]) -> None:
    """The commits follow one another: each ends with its own id, and time does not run backwards."""
    commits = [event.commit for event in history if event.commit]
    assert len(set(commits)) == len(commits), f"a commit was written twice: {commits}"
    assert history[-1].commit, "the last commit is incomplete"
    times = [event.at for event in history]
    assert times == sorted(times)


def idempotency_keys(instance: str, history: Iterable[HistoryRow]) -> list[str]:
    """The idempotency keys of all activities that this history asked for."""
    execution = ""
    keys: list[str] = []
    for event in history:
        if isinstance(event, ExecutionStarted):
            execution = event.origin or event.execution
        elif isinstance(event, ExecutionRewound | ExecutionReset):
            execution = event.execution
        elif isinstance(event, ActivityScheduled):
            keys.append(f"{instance}:{execution}:{event.seq}")
    return keys
