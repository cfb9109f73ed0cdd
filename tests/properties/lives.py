"""The life of an instance without a store: a mailbox, workers with caches, and what its turns have decided.

Every turn is decided twice, by a worker's cached replay (however old) and by a cold one, and both must agree.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from redurable.core.codec import decode_event, decode_message, decode_start, encode
from redurable.core.delivery import DeadLetter, Delivery, Entry, Outgoing, TurnCommit
from redurable.core.events import DecisionEvent, Event, ExecutionContinuedAsNew, ExecutionStarted
from redurable.core.known import Known
from redurable.core.messages import Mail, Malformed, Message, StartExecution
from redurable.core.places import before
from redurable.core.replay import Replay
from redurable.core.rewinding import reset, rewind
from redurable.core.settle import Draft
from redurable.core.state import State
from redurable.core.turn import Turn, TurnInput, take_turn
from redurable.core.values import RuntimeStatus, Task
from tests.properties.programs import FIRST, Node, interpret
from tests.support.story import PARKING, T0

INSTANCE = "life"
VERSION = "3.11"
MOST_MAILS = 100
"""So many messages a store hands out at once."""


class Life:
    """One instance that runs a program. `workers` share it; each keeps the replay of its last turn."""

    def __init__(self, program: Node, workers: int = 1) -> None:
        call = interpret.definition.signature.encode((msgspec.to_builtins(program),), {})
        self.start: StartExecution | None = StartExecution(name="interpret", execution=FIRST, call=call)
        self.executions = [FIRST]
        self.histories: list[list[Event]] = [[]]
        self.status = RuntimeStatus.PENDING
        self.now = T0
        self.tasks: list[Task] = []
        self.outbox: list[Outgoing] = []
        self.dead: list[DeadLetter] = []
        self.custom_status = b""
        self.notes: list[str] = []
        self.mailbox: list[Mail] = []
        self._head = ""
        self._ids = itertools.count(1)
        self._turns = itertools.count(1)
        self._parks = 0
        self._known: list[Known | None] = [None] * workers

    @property
    def history(self) -> list[Event]:
        """The current execution's."""
        return self.histories[-1]

    @property
    def execution(self) -> str:
        """The current execution's id."""
        return self.executions[-1]

    def put(self, message: Message | Malformed) -> None:
        """A message arrives, through the wire."""
        read = message if isinstance(message, Malformed) else decode_message(encode(message))
        self.mailbox.append(Mail(f"{T0}-{next(self._ids)}", read))

    def turn(self, worker: int = 0, *, code: bool = True) -> TurnCommit:
        """A worker takes a turn with what is in the mailbox; without `code` it does not know the orchestrator."""
        head = f"h{next(self._turns)}"
        cold = self._take(None, head, code)
        if cold.known:
            cold.known.evict()
        turn = self._take(self._known[worker], head, code)
        assert _shown(turn.commit) == _shown(cold.commit)
        self._known[worker] = turn.known
        self.notes += turn.notes
        self._accept(turn.commit)
        return turn.commit

    def reset(self, position: int) -> None:
        """A client resets it, and every worker still has its replay of before."""
        place = before(self.history, position)
        self._accept(reset(self._delivery(0), f"r{next(self._turns)}", place, ""))

    def rewind(self) -> None:
        """A client rewinds it."""
        self._accept(rewind(self._delivery(0), f"r{next(self._turns)}", ""))

    @property
    def parks(self) -> int:
        """How many turns in a row could not be taken."""
        return self._parks

    def forget(self, worker: int = 0) -> None:
        """A worker drops its replay."""
        known, self._known[worker] = self._known[worker], None
        if known:
            known.evict()

    def end(self) -> None:
        """All workers stop."""
        for worker in range(len(self._known)):
            self.forget(worker)

    def _take(self, known: Known | None, head: str, code: bool) -> Turn:
        delivery = self._delivery(self._base(known))
        return take_turn(interpret.definition if code else None, TurnInput(delivery, known, head, VERSION, PARKING))

    def _delivery(self, base: int) -> Delivery:
        start = decode_start(encode(self.start)) if self.start else None
        return Delivery(
            entry=Entry(0, "1-1", INSTANCE),
            now=self.now,
            head=self._head,
            status=self.status,
            name="interpret",
            execution=self.execution,
            announced="1-1",
            parks=self._parks,
            start=start,
            mails=tuple(self.mailbox[:MOST_MAILS]),
            base=base,
            events=tuple(decode_event(encode(event)) for event in self.history[base:]),
        )

    def _base(self, known: Known | None) -> int:
        """How much of the history that replay has seen: none of it when it is of another execution."""
        if known is None or known.position.execution != self.execution:
            return 0
        assert self.history[known.position.length - 1].commit == known.position.commit
        return known.position.length

    def _accept(self, commit: TurnCommit) -> None:
        self._head = commit.head
        if commit.park:
            self._parks += 1
            return
        self._parks = 0
        if commit.consumed:
            ids = [mail.id for mail in self.mailbox]
            del self.mailbox[: ids.index(commit.consumed) + 1]
        self.history.extend(commit.events)
        gone = {(commit.execution, seq) for seq in commit.canceled_calls}
        self.tasks = [task for task in (*self.tasks, *commit.tasks) if (task.execution, task.seq) not in gone]
        self.outbox += commit.outbox
        self.dead += commit.dead
        if commit.custom_status is not None:
            self.custom_status = bytes(commit.custom_status)
        self.status = commit.status or self.status
        if commit.start_consumed:
            self.start = None
        if commit.next:
            self.start = commit.next
            self.executions.append(commit.next.execution)
            kept = [commit.kept.first, *self.history[1 : commit.kept.count]] if commit.kept else []
            self.histories.append(kept)

    # -- for comparison

    def told(self) -> Any:
        """All that became of this life, without what only says in which turn it was decided."""
        names = {execution: f"execution {number}" for number, execution in enumerate(self.executions)}
        tasks = [msgspec.structs.replace(task, execution=names[task.execution]) for task in self.tasks]
        histories = [told(history) for history in self.histories]
        return self.status, histories, tasks, [sent(item) for item in self.outbox], self.custom_status


def told(history: Sequence[Event]) -> list[bytes]:
    """A history without the ids that differ from turn to turn."""
    return [_encoded(_plain(event)) for event in history]


def _shown(commit: TurnCommit) -> Any:
    return msgspec.structs.replace(commit, events=()), [_encoded(event) for event in commit.events]


def _encoded(event: Event) -> bytes:
    """An event without the addresses that anyio and asyncio put into the messages of cancellations."""
    return re.sub(rb"Cancelled via cancel scope [^;\"]*", b"Cancelled", encode(event))


def _plain(event: Event) -> Event:
    event = msgspec.structs.replace(event, commit="")
    match event:
        case ExecutionStarted():
            return msgspec.structs.replace(event, execution="")
        case ExecutionContinuedAsNew():
            return msgspec.structs.replace(event, next="")
        case _:
            return event


def sent(item: Outgoing) -> object:
    """A message to another instance, without the ids of executions: they are named after the turn that made them."""
    message = item.message
    if isinstance(message, StartExecution):
        return item.instance, message.name, message.call, message.tags, message.parent and message.parent.seq
    return item.instance, type(message), getattr(message, "id", "").rpartition(":")[2]


def lived_again(history: Sequence[Event]) -> Draft:
    """What the program decides when it is fed the input events of this history, one after the other."""
    started = history[0]
    assert isinstance(started, ExecutionStarted)
    draft = Draft(Delivery(Entry(0, "1-1", INSTANCE), T0), State(), "again")
    replay = Replay(interpret.definition, INSTANCE, started)
    for event in history:
        if not isinstance(event, DecisionEvent):
            draft.record(event)
            draft.settle(replay.step(event), replay.unread, replay.bind)
    draft.hand_on(replay.unheard)
    draft.custom_status = replay.take_custom_status()
    replay.evict()
    return draft
