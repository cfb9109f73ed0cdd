"""What a foreign worker says of a task that it holds: a program in any language that takes tasks from their queues by
plain commands, and writes to the answers of their partition what became of them. `core.foreign` reads it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw, Struct

from redurable.core.values import ABSENT, NULL, Failure


class AnswerKind(StrEnum):
    """The name of the field that says what became of the task.

    HAND_BACK gives it up, so that another worker takes it at once; REFUSE says that this program does not know the
    activity, so that it is tried later. Neither is an attempt. HEARTBEAT: the attempt goes on.
    """

    COMPLETE = "complete"
    FAIL = "fail"
    HEARTBEAT = "heartbeat"
    HAND_BACK = "hand-back"
    REFUSE = "refuse"


class Answer(Struct, frozen=True):
    """`task` is the id of its entry in `queue`, `worker` the consumer that took it from there.

    `result` of a completion; of a failure what went wrong, whether it is `final`, and how many milliseconds the next
    attempt is to wait (None: as the policy says); `details` of a heartbeat, or left with a task that is handed back.
    """

    kind: AnswerKind
    task: str
    queue: str
    worker: str
    result: Raw = NULL
    failure: Failure | None = None
    final: bool = False
    wait_ms: int | None = None
    details: Raw = ABSENT
