"""The first turn of an execution that was rewound or reset: what it says of itself, and which calls it makes anew."""

from __future__ import annotations

from redurable.core.events import ActivityScheduled, ExecutionReset, ExecutionRewound, TimerCreated
from redurable.core.messages import Rewound
from redurable.core.settle import Draft
from redurable.core.state import DEADLINE
from redurable.core.values import ActivityOptions, Task


def take_up(draft: Draft, rewound: Rewound) -> ExecutionRewound | ExecutionReset:
    """How this execution, which begins with the history of another one, came to be; to be recorded."""
    kind = ExecutionReset if rewound.reset else ExecutionRewound
    return kind(
        at=max(draft.state.clock, draft.delivery.now),
        execution=draft.delivery.execution,
        previous=rewound.previous,
        next_seq=max(draft.state.next_seq, rewound.next_seq),
        reason=rewound.reason,
        parent=rewound.parent,
    )


def make_anew(draft: Draft, rewound: Rewound) -> None:
    """What the kept history waits for begins again: tasks with all their attempts, and timers. Its children were told
    when it was kept."""
    state = draft.state
    if state.ended is not None:
        return
    if state.started is not None and state.started.deadline:
        draft.timers[DEADLINE] = state.started.deadline
    for seq, made in state.open.items():
        if seq >= rewound.next_seq:
            continue
        if isinstance(made, TimerCreated):
            draft.timers[seq] = made.due
        elif isinstance(made, ActivityScheduled):
            draft.tasks[seq] = _task(draft, made)


def _task(draft: Draft, made: ActivityScheduled) -> Task:
    state = draft.state
    origin = state.origin(made.seq)
    return Task(
        instance=draft.instance,
        execution=state.execution,
        seq=made.seq,
        name=made.name,
        call=made.call,
        options=ActivityOptions(made.task_queue, made.retry, made.timeouts),
        scheduled_at=state.clock,
        trace=draft.trail.call(made.seq) if draft.trail else None,
        origin="" if origin == state.execution else origin,
    )
