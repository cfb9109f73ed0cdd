"""An exhaustive model of the commit protocol: one instance, one partition, every script one atomic step.

`explore(variant)` walks all interleavings of producers, workers, a sweeper, foreign clients, crashes, lost replies and
a failover, within small bounds, and returns the shortest bad trace or None. Checked in every state:

* nothing is lost: every message accepted is in the history, dropped on purpose, or still in the mailbox;
* nothing is consumed twice, and one commit at most is accepted at each position of the history;
* from here a healthy worker alone drains all mail (no instance with mail is idle for ever);
* with turns that are decided ahead: what came earlier is consumed earlier.

The rules of docs/protocol are the default `Variant`; each field that differs is a rule broken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple


class Variant(NamedTuple):
    """How the protocol is built, and what may happen to it."""

    fence: Literal["head", "length"] = "head"
    flag: Literal["entry id", "boolean"] = "entry id"
    acknowledge: Literal["after fence", "first"] = "after fence"
    sweeper: Literal["verifies", "trusts flag", "looks in stream", "none"] = "verifies"
    consume: Literal["prefix", "count"] = "prefix"
    ahead: Literal["", "sound", "unfenced", "forgets the outcome", "overtakes"] = ""
    empty_turn: bool = False
    workers: int = 2
    foreign_adds: int = 0
    foreign_deletes: int = 0
    rings: int = 0
    crashes: int = 0
    lost_replies: int = 0
    client_repeats: int = 0
    vanished_pending: int = 0
    failover: bool = False


class Redis(NamedTuple):
    """What the server holds. `ready` are undelivered entries, `pending` (entry, holder); heads are made canonical.
    `task` is that of an attempt which has not ended."""

    history: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    mailbox: tuple[tuple[int, str], ...] = ()
    next_mail: int = 1
    flag: int = 0
    ready: tuple[int, ...] = ()
    pending: tuple[tuple[int, int], ...] = ()
    next_entry: int = 1
    head: int = 0
    task: bool = False


class Worker(NamedTuple):
    """idle -> holds an entry -> has checked out; or idle, with the head of its last turn in `expected` -> has decided
    the turn that follows from the attempt's outcome, unless its history has that (`settled`)."""

    state: Literal["idle", "holding", "checked out", "decided"] = "idle"
    entry: int = 0
    expected: int = 0
    length: int = 0
    mail: tuple[tuple[int, str], ...] = ()
    head: int = 0
    settled: bool = False


class World(NamedTuple):
    """Everything, with what may still happen."""

    redis: Redis
    workers: tuple[Worker, ...]
    to_send: tuple[str, ...]
    budget: Variant
    accepted: tuple[int, ...] = ()
    sent: frozenset[str] = frozenset()
    order: tuple[str, ...] = ()
    snapshot: Redis | None = None
    rolled_back: bool = False


Step = tuple[str, World]
IDLE = Worker()
OUTCOME = "outcome"


def explore(variant: Variant, most: int = 400_000) -> tuple[list[str] | None, int]:
    """The shortest trace that breaks a property (its last line says which), or None; and how many states were seen."""
    messages = ("a", "noop") if variant.empty_turn else ("a", "b")
    foreign = tuple(f"f{n}" for n in range(variant.foreign_adds))
    first = _canonical(World(Redis(task=bool(variant.ahead)), (IDLE,) * variant.workers, messages + foreign, variant))
    came_from: dict[World, Step | None] = {first: None}
    queue = deque([first])
    while queue:
        world = queue.popleft()
        bad = _unsafe(world) or _undrainable(variant, world)
        if bad:
            return [*_trace(came_from, world), bad], len(came_from)
        for label, reached in _steps(variant, world):
            reached = _canonical(reached)
            if reached not in came_from:
                came_from[reached] = (label, world)
                queue.append(reached)
        assert len(came_from) <= most, f"more than {most} states: make the bounds smaller"
    return None, len(came_from)


def _trace(came_from: dict[World, Step | None], world: World) -> list[str]:
    labels: list[str] = []
    while (step := came_from[world]) is not None:
        labels.append(step[0])
        world = step[1]
    return labels[::-1]


def _canonical(world: World) -> World:
    """Heads are unbounded and only compared: rename them by first appearance, and forget what has no meaning left."""
    names: dict[int, int] = {0: 0}

    def name(head: int) -> int:
        return names.setdefault(head, len(names))

    redis = world.redis._replace(head=name(world.redis.head))
    workers = tuple(w._replace(expected=name(w.expected), head=name(w.head)) for w in world.workers)
    snapshot = world.snapshot._replace(head=name(world.snapshot.head)) if world.snapshot else None
    return world._replace(redis=redis, workers=workers, snapshot=snapshot)


def _fresh(world: World) -> int:
    heads = [world.redis.head, *(h for w in world.workers for h in (w.expected, w.head))]
    return max([*heads, world.snapshot.head if world.snapshot else 0]) + 1


# -- the scripts


def announce(variant: Variant, redis: Redis) -> Redis:
    entry = redis.next_entry
    flag = entry if variant.flag == "entry id" else 1
    return redis._replace(ready=(*redis.ready, entry), next_entry=entry + 1, flag=flag)


def append(variant: Variant, redis: Redis, message: str) -> Redis:
    redis = redis._replace(mailbox=(*redis.mailbox, (redis.next_mail, message)), next_mail=redis.next_mail + 1)
    return redis if redis.flag else announce(variant, redis)


def sweep(variant: Variant, redis: Redis) -> Redis | None:
    if not redis.mailbox or variant.sweeper == "none":
        return None
    held = redis.flag in redis.ready or any(entry == redis.flag for entry, _ in redis.pending)
    trusted = {
        "verifies": held,
        "trusts flag": True,
        "looks in stream": redis.flag < redis.next_entry,  # the stream still has it, whoever was given it
    }[variant.sweeper]
    return None if redis.flag and trusted else announce(variant, redis)


def acknowledge(redis: Redis, entry: int) -> Redis:
    return redis._replace(
        ready=tuple(e for e in redis.ready if e != entry), pending=tuple(p for p in redis.pending if p[0] != entry)
    )


def checkout(redis: Redis, entry: int, head: int) -> Worker:
    return Worker("checked out", entry, redis.head, len(redis.history), redis.mailbox, head)


def commit(variant: Variant, redis: Redis, worker: Worker) -> tuple[Redis, str]:
    """The outcome: accepted, already applied, fenced or released."""
    if variant.acknowledge == "first":
        redis = acknowledge(redis, worker.entry)
    stale = variant.flag == "entry id" and redis.flag not in (0, worker.entry)
    if stale and not worker.mail:
        return acknowledge(redis, worker.entry), "released"
    if variant.fence == "head" and redis.head == worker.head:
        return redis, "already applied"
    same = redis.head == worker.expected if variant.fence == "head" else len(redis.history) == worker.length
    if not same:
        return redis, "fenced"
    redis = acknowledge(_consume(variant, redis, worker), worker.entry)._replace(head=worker.head)
    if variant.flag == "boolean" or redis.flag in (0, worker.entry):
        redis = redis._replace(flag=0)
        if redis.mailbox:
            redis = announce(variant, redis)
    return redis, "accepted" if worker.mail else "released"


def complete(variant: Variant, redis: Redis, worker: Worker | None) -> tuple[Redis, str]:
    """End the attempt, with the turn that this worker has decided. The outcome as of a commit; or appended, or late."""
    late, redis = not redis.task, redis._replace(task=False)
    if worker is not None and redis.head == worker.head:
        return redis, "already applied"
    if worker is not None and not late:
        same = redis.head == worker.expected or variant.ahead == "unfenced"
        quiet = not (redis.flag or redis.mailbox) or variant.ahead == "overtakes"
        if same and quiet:
            return redis._replace(history=(*redis.history, OUTCOME), head=worker.head), "accepted"
        if variant.ahead == "forgets the outcome":
            return redis, "fenced"
    return (redis, "late") if late else (append(variant, redis, OUTCOME), "appended")


def _consume(variant: Variant, redis: Redis, worker: Worker) -> Redis:
    new: list[str] = []
    for _, message in worker.mail:
        if message != "noop" and message not in redis.history and message not in new:
            new.append(message)
    noops = tuple(message for _, message in worker.mail if message == "noop")
    last = max((number for number, _ in worker.mail), default=0)
    if variant.consume == "count":
        mailbox = redis.mailbox[len(worker.mail) :]
    else:
        mailbox = tuple(item for item in redis.mailbox if item[0] > last)
    dropped = tuple(sorted({*redis.dropped, *noops}))
    return redis._replace(mailbox=mailbox, history=(*redis.history, *new), dropped=dropped)


# -- what may happen


def _steps(variant: Variant, world: World) -> Iterator[Step]:
    yield from _producers(variant, world)
    yield from _faults(world)
    swept = sweep(variant, world.redis)
    if swept is not None:
        yield "sweep", world._replace(redis=swept)
    for number, worker in enumerate(world.workers):
        yield from _worker_steps(variant, world, number, worker)
        if variant.ahead:
            yield from _attempt_steps(variant, world, number, worker)


def _producers(variant: Variant, world: World) -> Iterator[Step]:
    redis = world.redis
    for at, message in enumerate(world.to_send):
        rest = world.to_send[:at] + world.to_send[at + 1 :]
        sent = world.sent | {message}
        arrived = _arrives(variant, world, message)
        if message.startswith("f"):
            mailbox = (*redis.mailbox, (redis.next_mail, message))
            added = redis._replace(mailbox=mailbox, next_mail=redis.next_mail + 1)
            yield f"foreign XADD {message}", arrived._replace(redis=added, to_send=rest, sent=sent)
            continue
        appended = arrived._replace(redis=append(variant, redis, message), sent=sent)
        yield f"append {message}", appended._replace(to_send=rest)
        if world.budget.client_repeats:
            # The reply is lost: the client will send the same message, with the same id, again.
            yield f"append {message}, reply lost", _spend(appended, "client_repeats")


def _arrives(variant: Variant, world: World, message: str) -> World:
    """Note in which order messages came to the server, where that is looked at."""
    return world._replace(order=(*world.order, message)) if variant.ahead else world


def _faults(world: World) -> Iterator[Step]:
    redis, budget = world.redis, world.budget
    if budget.foreign_deletes and redis.mailbox:
        gone = redis.mailbox[0][1]
        sent = world.sent if gone in redis.history else world.sent - {gone}
        cut = world._replace(redis=redis._replace(mailbox=redis.mailbox[1:]), sent=sent)
        yield "foreign XDEL of the first message", _spend(cut, "foreign_deletes")
    if budget.rings:
        rung = redis._replace(ready=(*redis.ready, redis.next_entry), next_entry=redis.next_entry + 1)
        yield "foreign ring", _spend(world._replace(redis=rung), "rings")
    if budget.vanished_pending and redis.pending:
        yield (
            "a pending entry vanishes",
            _spend(world._replace(redis=redis._replace(pending=redis.pending[1:])), "vanished_pending"),
        )
    for number, worker in enumerate(world.workers if budget.crashes else ()):
        if worker.state != "idle":
            workers = (*world.workers[:number], IDLE, *world.workers[number + 1 :])
            yield f"{number} crashes", _spend(world._replace(workers=workers), "crashes")
    if budget.failover and world.snapshot is None:
        yield "the replica is here", world._replace(snapshot=redis)
    if world.snapshot is not None and not world.rolled_back:
        yield "failover", world._replace(redis=world.snapshot, rolled_back=True)


def _spend(world: World, fault: str) -> World:
    return world._replace(budget=world.budget._replace(**{fault: getattr(world.budget, fault) - 1}))


def _worker_steps(variant: Variant, world: World, number: int, worker: Worker) -> Iterator[Step]:
    redis = world.redis

    def becomes(state: Worker, after: Redis) -> World:
        workers = (*world.workers[:number], state, *world.workers[number + 1 :])
        return world._replace(workers=workers, redis=after)

    match worker.state:
        case "idle":
            if redis.ready:
                entry = redis.ready[0]
                pending = tuple(sorted((*redis.pending, (entry, number))))
                taken = redis._replace(ready=redis.ready[1:], pending=pending)
                yield f"{number} receives {entry}", becomes(Worker("holding", entry), taken)
            for entry, holder in redis.pending:  # time is an adversary: any lease may have run out
                others = tuple(p for p in redis.pending if p[0] != entry)
                claimed = redis._replace(pending=tuple(sorted((*others, (entry, number)))))
                yield f"{number} reclaims {entry} of {holder}", becomes(Worker("holding", entry), claimed)
        case "holding":
            yield f"{number} checks out {worker.entry}", becomes(checkout(redis, worker.entry, _fresh(world)), redis)
        case "checked out":
            after, outcome = commit(variant, redis, worker)
            told = becomes(_after(variant, after, worker, outcome), after)
            if outcome == "accepted" and after.history != redis.history:
                told = told._replace(accepted=(*world.accepted, worker.length))
            mail = [message for _, message in worker.mail]
            yield f"{number} commits {mail}: {outcome}", told
            if world.budget.lost_replies:
                unsure = told._replace(workers=world.workers)
                yield f"{number} commits {mail}: {outcome}, reply lost", _spend(unsure, "lost_replies")
        case "decided":
            pass


def _attempt_steps(variant: Variant, world: World, number: int, worker: Worker) -> Iterator[Step]:
    """The end of the attempt, which may run on several workers at once."""
    redis = world.redis

    def becomes(state: Worker, after: Redis) -> World:
        workers = (*world.workers[:number], state, *world.workers[number + 1 :])
        return _ended(variant, world, world._replace(workers=workers, redis=after))

    if worker.state == "idle" and redis.task:
        yield f"{number} ends the attempt", becomes(worker, complete(variant, redis, None)[0])
    if worker.state == "idle" and worker.expected and not worker.settled:
        yield f"{number} decides ahead", becomes(worker._replace(state="decided", head=_fresh(world)), redis)
    if worker.state == "decided":
        after, outcome = complete(variant, redis, worker)
        told = becomes(_after(variant, after, worker, outcome), after)
        if outcome == "accepted":
            told = told._replace(accepted=(*world.accepted, worker.length))
        yield f"{number} ends the attempt with its turn: {outcome}", told
        if world.budget.lost_replies:
            unsure = told._replace(workers=world.workers)
            yield f"{number} ends the attempt with its turn: {outcome}, reply lost", _spend(unsure, "lost_replies")


def _after(variant: Variant, redis: Redis, worker: Worker, outcome: str) -> Worker:
    """What a worker keeps of its turn."""
    if variant.ahead and outcome in ("accepted", "already applied"):
        return Worker(expected=worker.head, length=len(redis.history), settled=OUTCOME in redis.history)
    return IDLE


def _ended(variant: Variant, before: World, after: World) -> World:
    """The attempt has ended: from now on its outcome must not be lost."""
    if before.redis.task == after.redis.task:
        return after
    return _arrives(variant, after._replace(sent=after.sent | {OUTCOME}), OUTCOME)


# -- the properties


def _unsafe(world: World) -> str | None:
    redis = world.redis
    if len(set(redis.history)) != len(redis.history):
        return f"consumed twice: {redis.history}"
    if world.rolled_back:
        return None  # what the replica never had is lost with the primary; nothing else may break
    there = {*redis.history, *redis.dropped, *(message for _, message in redis.mailbox)}
    if world.sent - there:
        return f"lost: {sorted(world.sent - there)}"
    consumed = [world.order.index(message) for message in redis.history if world.order]
    if consumed != sorted(consumed):
        return f"overtaken: {redis.history} of {world.order}"
    if len(set(world.accepted)) != len(world.accepted):
        return f"two commits accepted at one position: {world.accepted}"
    return None


def _undrainable(variant: Variant, world: World) -> str | None:
    """A healthy worker, alone from now on, with the sweeper: does it drain all mail?"""
    redis = world.redis
    for turn in range(30):
        if not redis.mailbox and not redis.ready and not redis.pending:
            return None
        redis = sweep(variant, redis) or redis
        if redis.ready:
            entry = redis.ready[0]
        elif redis.pending:
            entry = redis.pending[0][0]
        else:
            return f"idle for ever with mail {[message for _, message in redis.mailbox]}" if redis.mailbox else None
        redis = redis._replace(ready=tuple(e for e in redis.ready if e != entry))
        redis = redis._replace(pending=(*(p for p in redis.pending if p[0] != entry), (entry, 9)))
        redis, _ = commit(variant, redis, checkout(redis, entry, 1000 + turn))
    return "never comes to rest"
