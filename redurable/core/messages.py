"""What may arrive in a mailbox: a closed union. `execution` says which execution is meant; empty: the current one."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from redurable.core.values import ABSENT, NULL, Arguments, Attempt, Failure, Parent, Trace


class _Message(Struct, frozen=True, omit_defaults=True, tag=True, tag_field="type", kw_only=True):
    v: int = 1
    execution: str = ""


class KeptEvent(Struct, frozen=True, omit_defaults=True):
    """An external event that the previous execution left unread."""

    name: str
    data: Raw = NULL
    id: str = ""


class Rewound(Struct, frozen=True, omit_defaults=True):
    """How an execution goes on that was rewound or reset (`reset`), and begins with the first `kept` events of
    `previous`: its numbers go on from `next_seq`, and `mail` is what `previous` had read and this one is to read
    again. `parent`: whom it answers."""

    previous: str
    kept: int
    next_seq: int
    reason: str = ""
    reset: bool = False
    parent: Parent | None = None
    mail: tuple[Message, ...] = ()


class StartExecution(_Message, frozen=True, kw_only=True):
    """Begin an execution. Lies in the instance's start slot, not in the mailbox stream, and is always read first.

    `not_before` is when a child may take its first turn, in milliseconds of the Unix epoch (0: at once).
    `execution_timeout`: how many milliseconds after its first turn the instance must have ended (0: whenever); an
    execution that continues another one has the `deadline` of that, in milliseconds of the Unix epoch. `trace`: what
    the execution's span belongs below.
    """

    name: str
    call: Arguments = Arguments()
    parent: Parent | None = None
    tags: dict[str, str] = {}
    memo: Raw = ABSENT
    number: int = 1
    first_seq: int = 1
    kept_events: tuple[KeptEvent, ...] = ()
    event_ids: tuple[str, ...] = ()
    not_before: int = 0
    execution_timeout: int = 0
    deadline: int = 0
    rewound: Rewound | None = None
    trace: Trace | None = None


class ActivityResult(_Message, frozen=True, kw_only=True):
    """An activity returned. `worker` ran the attempt since `started` (milliseconds); `log`: the attempts before it."""

    seq: int
    result: Raw = NULL
    attempts: int = 1
    worker: str = ""
    started: int = 0
    log: tuple[Attempt, ...] = ()


class ActivityFailure(_Message, frozen=True, kw_only=True):
    """An activity failed for good. An empty `worker`: no attempt ended so, the call did, after those in `log`."""

    seq: int
    failure: Failure
    worker: str = ""
    started: int = 0
    log: tuple[Attempt, ...] = ()


class ActivityStopped(_Message, frozen=True, kw_only=True):
    """An attempt whose call was cancelled will have no outcome. An empty `worker`: none was under way, but those in
    `log` were before."""

    seq: int
    attempt: int
    worker: str = ""
    started: int = 0
    log: tuple[Attempt, ...] = ()


class TimerDue(_Message, frozen=True, kw_only=True):
    """A durable timer's time has come; `due` in milliseconds of the Unix epoch."""

    seq: int
    due: int


class SubOrchestrationResult(_Message, frozen=True, kw_only=True):
    """A sub-orchestration completed."""

    seq: int
    result: Raw = NULL


class SubOrchestrationFailure(_Message, frozen=True, kw_only=True):
    """A sub-orchestration failed, was terminated, or could not be started."""

    seq: int
    failure: Failure


class RaiseEvent(_Message, frozen=True, kw_only=True):
    """An external event; `id` de-duplicates: an id that this instance has seen is dropped. `trace`: who raised it."""

    name: str
    data: Raw = NULL
    id: str = ""
    trace: Trace | None = None


class Terminate(_Message, frozen=True, kw_only=True):
    """End the instance at once, without running user code. A `parent`: only if the instance is that call's child."""

    reason: str = ""
    parent: Parent | None = None


class Cancel(_Message, frozen=True, kw_only=True):
    """Ask the instance to end: its main task is cancelled, and its own code decides. `id` de-duplicates as with events,
    `parent` is as with `Terminate`."""

    reason: str = ""
    id: str = ""
    parent: Parent | None = None


class Suspend(_Message, frozen=True, kw_only=True):
    """Record messages from now on, but feed none to user code."""

    reason: str = ""


class Resume(_Message, frozen=True, kw_only=True):
    """Feed what was recorded while suspended, in order, and go on."""

    reason: str = ""


class Rewind(_Message, frozen=True, kw_only=True):
    """A parent was rewound or reset: the call `parent`, which started this instance, is one of the execution `heir`
    from now on, and wants an answer. Alone among messages it reaches an instance that has finished: one that did not
    complete is rewound itself, one that did gives its result again, and does not note to whom. So `before` says whose
    the call was earlier, as far as the parent was rewound or reset more than once."""

    parent: Parent
    heir: str
    reason: str = ""
    before: tuple[str, ...] = ()

    def is_for(self, answers: Parent | None) -> bool:
        """Whether the instance that answers this parent is the child of that call."""
        return answers is not None and any(
            answers == msgspec.structs.replace(self.parent, execution=execution)
            for execution in (self.parent.execution, *self.before)
        )


Control = Terminate | Cancel | Suspend | Resume
"""Messages that ring for a parked instance, too. They are admitted without user code, so they reach one whose code
cannot run now; but a `Cancel` needs the code of an execution that has begun, and waits for it."""

Message = (
    ActivityResult
    | ActivityFailure
    | ActivityStopped
    | TimerDue
    | SubOrchestrationResult
    | SubOrchestrationFailure
    | RaiseEvent
    | Terminate
    | Cancel
    | Suspend
    | Resume
    | Rewind
)


class Malformed(Struct, frozen=True):
    """A mailbox entry that is no message: why, and its original fields."""

    reason: str
    fields: tuple[tuple[bytes, bytes], ...] = ()


class Mail(Struct, frozen=True):
    """An entry of a mailbox: its stream id, and what it says."""

    id: str
    message: Message | Malformed
