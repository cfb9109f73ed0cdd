"""A turn is a function: `take_turn(definition, TurnInput) -> Turn`. For every message: admit -> replay -> settle.

Nothing in here waits or writes. Errors of user code end the execution; code that cannot take the turn (unknown, or
nondeterministic) leaves the mail where it is and parks the instance, except for control messages, which need no code.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from redurable.core.admit import admit, begin, concerns, is_deadline
from redurable.core.anew import make_anew, take_up
from redurable.core.codec import encode
from redurable.core.definition import Definition
from redurable.core.delivery import DeadLetter, Delivery, Difference, Park, Parking, TurnCommit
from redurable.core.events import ExecutionContinuedAsNew, ExecutionStarted, InputEvent
from redurable.core.foreign import INTERNAL
from redurable.core.history_cap import DEFAULT_CAP, HistoryCap
from redurable.core.known import Known
from redurable.core.messages import (
    Cancel,
    Mail,
    Malformed,
    Message,
    RaiseEvent,
    Resume,
    Rewind,
    Rewound,
    StartExecution,
    Suspend,
    Terminate,
)
from redurable.core.replay import Replay
from redurable.core.rewinding import answer_again, answer_of_a_stranger
from redurable.core.settle import Draft
from redurable.core.sizes import UNBOUNDED, Bounds
from redurable.core.state import State
from redurable.core.trail import Over
from redurable.core.unread import tell_recorded, tell_unread
from redurable.errors import NondeterminismError

ENOUGH_COMMANDS = 1_000
"""A turn that has so many takes no further message."""

UNREADABLE = "unreadable"
UNKNOWN = "unknown orchestrator"
NONDETERMINISM = "nondeterminism"
POISON = "poison"
ENGINE_ERROR = "engine error"


class TurnInput(Struct, frozen=True):
    """`known` is the cached replay, if any; `head` is freshly minted; `version` is the Python minor version;
    `bounds`: what user code may make in this turn; `parking`: how long the instance waits if it cannot take it;
    `cap`: how long its history may become. An entry that was delivered more than `most_deliveries` times (0: any
    number) kills its workers: no user code runs."""

    delivery: Delivery
    known: Known | None
    head: str
    version: str
    parking: Parking
    bounds: Bounds = UNBOUNDED
    cap: HistoryCap = DEFAULT_CAP
    most_deliveries: int = 0

    @property
    def is_poison(self) -> bool:
        """True when user code must not run: it has silenced too many workers."""
        return 0 < self.most_deliveries < self.delivery.entry.deliveries


class Turn(Struct, frozen=True):
    """`known` is to be cached once `commit` is accepted, and evicted if it is not. `notes`: errors nobody awaited.
    `name` is the orchestrator's, as far as it is known. `started` began the execution, if it has begun; `over`: see
    `Draft.over`."""

    commit: TurnCommit
    known: Known | None = None
    name: str = ""
    notes: tuple[str, ...] = ()
    started: ExecutionStarted | None = None
    over: tuple[Over, ...] = ()


def take_turn(definition: Definition | None, turn: TurnInput) -> Turn:
    """Decide one turn of one instance. Never raises for what user code does."""
    delivery, known = turn.delivery, turn.known
    if known is not None and delivery.base != known.state.length:
        known.evict()
        known = None
    if delivery.unreadable:
        return _discard(known, park(turn, UNREADABLE, delivery.unreadable), delivery.name)
    if delivery.status is None or delivery.status.finished:
        return _discard(known, _after_end(turn), delivery.name)
    state = known.state if known else State()
    state.fold(delivery.events)
    draft = Draft(delivery, state, turn.head, turn.cap)
    if state.started is None and delivery.start is None:
        return _discard(known, draft.commit(), delivery.name)
    stopper = _stopper(state, delivery)
    if stopper is not None:
        return _discard(known, _never_begin(draft, turn, stopper), delivery.name, draft)
    if state.started is None and not delivery.parks and delivery.parked_until > delivery.now:
        return _discard(known, _release(turn), delivery.name)
    if delivery.held or (turn.is_poison and definition is not None):
        return _discard(known, _hold(draft, turn), delivery.name, draft)
    if definition is None:
        known_names = f"no worker here knows the orchestrator {delivery.name!r}: start a worker that registers it"
        return _discard(known, _without_code(draft, turn, UNKNOWN, known_names), delivery.name, draft)
    return _with_code(definition, turn, known, draft)


def _stopper(state: State, delivery: Delivery) -> Mail | None:
    """The mail that ends an execution before its first turn, if there is one. What has continued as new is not new: it
    may have something to undo, so its code hears of a cancellation."""
    start = delivery.start
    if state.started is not None or start is None:
        return None
    kinds = (Terminate, Cancel) if start.number == 1 else Terminate
    return next(
        (m for m in _mails(delivery) if isinstance(m.message, kinds) and concerns(m.message, start.parent)), None
    )


def _never_begin(draft: Draft, turn: TurnInput, stopper: Mail) -> TurnCommit:
    """End an execution of which no code has run."""
    delivery = turn.delivery
    draft.record(begin(_start_of(delivery), max(delivery.now, draft.state.clock), turn.version))
    _say_rewound(draft)
    _record_mail(draft, stopper, delivery.now)
    if isinstance(stopper.message, Cancel):
        draft.cancel_unbegun(stopper.message.reason)
    _consume_rest(draft)
    return draft.commit()


def _with_code(definition: Definition, turn: TurnInput, known: Known | None, draft: Draft) -> Turn:
    delivery, state = turn.delivery, draft.state
    started = state.started or begin(_start_of(delivery), max(delivery.now, state.clock), turn.version)
    replay = known.replay if known else Replay(definition, draft.instance, started, turn.bounds)
    try:
        replay.catch_up(delivery.events)
    except NondeterminismError as error:
        replay.evict()
        parted = Difference(error.position, error.expected, error.asked, error.place)
        return _discard(None, _without_code(draft, turn, NONDETERMINISM, str(error), parted), started.name, draft)
    was_long = state.long
    # Who moves large payloads, or decides much, reads the rest of the mail in the next turn: a commit may be large,
    # never huge.
    enough = replay.moved + turn.bounds.turn
    rewound = delivery.start.rewound if delivery.start else None
    if state.started is None:
        _begin(draft, replay, started, rewound)
    elif rewound is not None:
        _step(draft, replay, take_up(draft, rewound))
    if rewound is not None:
        _read_again(draft, replay, rewound)
    for mail in delivery.mails:
        if state.ended is not None or replay.moved >= enough or draft.decided >= ENOUGH_COMMANDS:
            break
        _take(draft, replay, mail, delivery.now)
    draft.custom_status = replay.take_custom_status()
    tell_unread(draft, replay)
    notes = replay.take_errors()
    if state.long and not was_long:
        notes = (*notes, turn.cap.warning(started.name, state.length, state.size))
    draft.refuse()
    if state.ended is None:
        replayed = known.replayed if known else len(delivery.events)
        kept = Known(replay, state, turn.head, replayed)
        return Turn(draft.commit(), kept, started.name, notes, state.started, draft.over())
    replay.evict()
    if not isinstance(state.ended, ExecutionContinuedAsNew):
        _consume_rest(draft)
    draft.hand_on(replay.unheard)
    return Turn(draft.commit(), None, started.name, notes, state.started, draft.over())


def _take(draft: Draft, replay: Replay, mail: Mail, now: int) -> None:
    draft.consumed = mail.id
    if isinstance(mail.message, Malformed):
        draft.dead.append(DeadLetter(mail.message.reason, draft.instance, mail.message.fields))
        return
    if is_deadline(draft.state, mail.message):
        draft.expire(now)
        return
    event = _admit(draft, mail.message, now)
    if event is not None:
        _step(draft, replay, event)


def _begin(draft: Draft, replay: Replay, started: ExecutionStarted, rewound: Rewound | None) -> None:
    """The first step. Where nothing was kept of what was rewound, that is said before what code decides, which may be
    its end: nothing comes after an end."""
    fed = [draft.record(started)]
    if rewound is not None:
        fed.append(draft.record(take_up(draft, rewound)))
    draft.settle([issued for event in fed for issued in replay.step(event)], replay.unread, replay.bind)


def _step(draft: Draft, replay: Replay, event: InputEvent) -> None:
    draft.settle(replay.step(draft.record(event)), replay.unread, replay.bind)


def _read_again(draft: Draft, replay: Replay, rewound: Rewound) -> None:
    """The execution goes on from a place of another one's history: read again what that one had read since then."""
    for message in rewound.mail:
        event = admit(draft.state, message, draft.delivery.now) if draft.state.ended is None else None
        if event is not None:
            _step(draft, replay, event)
        elif draft.state.ended is not None:
            draft.dead.extend(_dead(draft.instance, Mail("", message)))
    make_anew(draft, rewound)


def _say_rewound(draft: Draft) -> None:
    """The same, of an execution that ends before it goes on."""
    rewound = draft.delivery.start.rewound if draft.delivery.start else None
    if rewound is not None:
        draft.record(take_up(draft, rewound))
        draft.dead.extend(letter for message in rewound.mail for letter in _dead(draft.instance, Mail("", message)))


def _consume_rest(draft: Draft) -> None:
    """The execution is over: events nobody will read are dead letters, the rest means nothing any more."""
    mails = draft.delivery.mails
    taken = next((at for at, mail in enumerate(mails, 1) if mail.id == draft.consumed), 0)
    for mail in mails[taken:]:
        if isinstance(mail.message, Rewind):
            return  # Its parent wants to hear of the end once more.
        draft.dead.extend(_dead(draft.instance, mail))
        draft.consumed = mail.id


def _after_end(turn: TurnInput) -> TurnCommit:
    """Mail for an instance that has finished, or that does not exist (then the entry is only released). Nobody reads
    it, but for a parent that was rewound."""
    delivery = turn.delivery
    mails = delivery.mails if delivery.status is not None else ()
    asked = next((at for at, mail in enumerate(mails) if isinstance(mail.message, Rewind)), None)
    read = mails if asked is None else mails[: asked + 1]
    commit = TurnCommit(entry=delivery.entry, expected=delivery.head, head=turn.head, execution=delivery.execution)
    if read:
        commit = answer_again(delivery, turn.head, read[-1].message) or commit
    dead = tuple(letter for mail in read for letter in _dead(delivery.entry.instance, mail))
    return msgspec.structs.replace(commit, consumed=read[-1].id if read else "", dead=dead)


def _dead(instance: str, mail: Mail) -> tuple[DeadLetter, ...]:
    match mail.message:
        case Malformed(reason=reason, fields=fields):
            return (DeadLetter(reason, instance, fields),)
        case RaiseEvent():
            fields = ((INTERNAL, encode(mail.message)),)
            return (DeadLetter("the instance has finished", instance, fields),)
        case _:
            return ()


def _hold(draft: Draft, turn: TurnInput) -> TurnCommit:
    """A turn of this instance kills its worker: nothing but its end is heard until somebody redrives it."""
    delivery = turn.delivery
    if any(_ends(mail, draft.state) for mail in _mails(delivery)):
        return _without_code(draft, turn, POISON, "")
    if delivery.held:  # What it is marked with stays.
        return _release(turn)
    detail = (
        f"{delivery.entry.deliveries - 1} workers fell silent in a turn of it: they died, or stood still for longer "
        "than their lease. Repair the code, then redrive the instance"
    )
    return msgspec.structs.replace(park(turn, POISON, detail), park=Park(POISON, detail, None))


def _release(turn: TurnInput) -> TurnCommit:
    """Give the ready entry up, and change nothing: it was rung for what is held, or before its time."""
    delivery = turn.delivery
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=turn.head,
        execution=delivery.execution,
        heard=delivery.heard,
    )


def _mails(delivery: Delivery) -> tuple[Mail, ...]:
    return delivery.mails if delivery.control is None else (*delivery.mails, delivery.control)


def _without_code(
    draft: Draft, turn: TurnInput, reason: str, detail: str, difference: Difference | None = None
) -> TurnCommit:
    """Admit what needs no user code: terminate ends the instance, suspend makes all other mail wait recorded."""
    delivery, state = turn.delivery, draft.state
    # Before its first turn an execution can only be ended: a start that is recorded but not fed could not be replayed.
    if state.started is None:
        return park(turn, reason, detail, difference)
    controls = [mail for mail in _mails(delivery) if _needs_no_code(mail, state)]
    terminate = next((mail for mail in controls if not isinstance(mail.message, Suspend)), None)
    if terminate is not None:
        _say_rewound(draft)
        _record_mail(draft, terminate, delivery.now)
        _consume_rest(draft)
        return draft.commit()
    if delivery.start is not None:
        return park(turn, reason, detail, difference)
    if controls:
        _record_mail(draft, controls[0], delivery.now)
    if not state.suspended:
        return park(turn, reason, detail, difference)
    for mail in delivery.mails:
        if isinstance(mail.message, Resume):
            break
        if not controls or mail is not controls[0]:
            _record_mail(draft, mail, delivery.now)
        draft.consumed = mail.id
    if draft.consumed or draft.events:
        return _recorded(draft)
    return park(turn, reason, detail, difference)


def _recorded(draft: Draft) -> TurnCommit:
    tell_recorded(draft)
    draft.refuse()
    if draft.state.ended is not None:
        _consume_rest(draft)
    return draft.commit()


def _needs_no_code(mail: Mail, state: State) -> bool:
    return isinstance(mail.message, Suspend) or _ends(mail, state)


def _ends(mail: Mail, state: State) -> bool:
    """Whether this ends the execution at once."""
    message = mail.message
    return is_deadline(state, message) or (isinstance(message, Terminate) and concerns(message, state.parent))


def _record_mail(draft: Draft, mail: Mail, now: int) -> None:
    if isinstance(mail.message, Malformed):
        draft.dead.extend(_dead(draft.instance, mail))
        return
    if is_deadline(draft.state, mail.message):
        draft.expire(now)
        return
    event = _admit(draft, mail.message, now)
    if event is not None:
        draft.record(event)


def _admit(draft: Draft, message: Message, now: int) -> InputEvent | None:
    """As `admit`; a parent that takes this instance for its child hears that it is not, and waits no longer."""
    event = admit(draft.state, message, now)
    if event is None and isinstance(message, Rewind):
        told = answer_of_a_stranger(message, draft.state.parent, draft.instance)
        draft.outbox.extend(() if told is None else (told,))
    return event


def park(turn: TurnInput, reason: str, detail: str, difference: Difference | None = None) -> TurnCommit:
    """Leave the mail where it is, and try again later; later and later."""
    delivery = turn.delivery
    return TurnCommit(
        entry=delivery.entry,
        expected=delivery.head,
        head=turn.head,
        execution=delivery.execution,
        park=Park(reason, detail, turn.parking.wait_ms(delivery.parks), difference),
        heard=delivery.heard,
    )


def _discard(known: Known | None, commit: TurnCommit, name: str, draft: Draft | None = None) -> Turn:
    if known is not None:
        known.evict()
    if draft is None:
        return Turn(commit, None, name)
    return Turn(commit, None, name, (), draft.state.started, draft.over())


def _start_of(delivery: Delivery) -> StartExecution:
    assert delivery.start is not None
    return delivery.start
