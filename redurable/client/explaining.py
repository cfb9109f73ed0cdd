"""Why an instance does not move: what it waits for, and who has to do something."""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from redurable.client.attempts import PendingActivity, pending_activities
from redurable.client.insight import FRESH_MS
from redurable.client.link import Link
from redurable.client.moments import moment
from redurable.client.status import Status, status_of
from redurable.core.events import Event, ExecutionSuspended, SubOrchestrationScheduled, TimerCreated
from redurable.core.ids import check_instance_id
from redurable.core.state import DEADLINE, State
from redurable.core.values import RuntimeStatus
from redurable.store.inspect import Announcement, Snapshot
from redurable.store.membership import Membership

_TURNS, _TASKS = "orchestrations", "activities"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that an instance waits for.

    `kind`: "finished", "quarantine", "suspended", "mail" (a turn is due), "delay", "activity", "timer", "child",
    "event" or "code" (nothing that the history knows). `since`: since when, as far as that is known; `until`: when it
    goes on by itself. `blocked`: it does not go on before somebody does something: `text` says what.
    """

    kind: str
    text: str
    since: datetime | None = None
    until: datetime | None = None
    blocked: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Scene:
    """What was read of the hub."""

    snapshot: Snapshot
    status: Status
    state: State
    events: list[Event]
    calls: list[PendingActivity]
    told: Announcement | None
    members: Membership


class Explaining:
    """Why instances do not move."""

    @property
    def _link(self) -> Link:
        raise NotImplementedError

    async def explain(self, instance_id: str) -> list[Reason]:
        """What an instance waits for, the most pressing first: what holds it as a whole, then its mail, then what its
        code waits for. Reads its whole history. Raises `InstanceNotFound`."""
        link = self._link
        snapshot = await link.snapshot(check_instance_id(instance_id))
        events = await link.history(instance_id, snapshot.execution)
        state = State()
        state.fold(events)
        scene = _Scene(
            snapshot,
            status_of(snapshot, None),
            state,
            events,
            await pending_activities(link, instance_id, snapshot.execution, events),
            await link.call(lambda: link.store.announcement(instance_id)),
            await link.call(lambda: link.store.members(FRESH_MS)),
        )
        return list(_reasons(scene))


def advised(command: str, instance: str) -> str:
    """A command on an instance, as a shell takes it, whatever is in its id."""
    return f"`redurable {command} {'-- ' if instance.startswith('-') else ''}{quote(instance)}`"


def _reasons(scene: _Scene) -> Iterator[Reason]:
    status = scene.status
    if status.runtime_status.finished:
        failure = f": {status.failure.type}: {status.failure.message}" if status.failure else ""
        yield Reason(
            kind="finished", text=f"it has ended: {status.runtime_status}{failure}", since=status.last_updated_at
        )
        return
    held = [*_quarantine(scene), *_suspension(scene)]
    yield from held
    yield from _mail(scene)
    yield from _delay(scene)
    waits = [*_activities(scene), *_timers(scene), *_children(scene), *_events(scene)]
    yield from waits
    if not waits and not held and not status.unread_mail and scene.state.started is not None:
        yield Reason(
            kind="code",
            text="its code waits for nothing that the history knows: for an asyncio.Event, a lock or a queue, perhaps, "
            "that no other task of it will set",
            since=status.last_updated_at,
            blocked=True,
        )


def _quarantine(scene: _Scene) -> Iterator[Reason]:
    mark, instance = scene.status.quarantined, scene.snapshot.instance
    if mark is None:
        return
    parted = f"; at event {mark.position} the history has {mark.expected}, the code {mark.asked or 'asks for nothing'}"
    parted += f" ({mark.place})" if mark.place else ""
    tries = f"tried {mark.tries} times"
    held = f"held until {advised('redrive', instance)}"
    after = f"{tries}, {held}" if mark.next_try is None else f"{tries}, and again by itself"
    yield Reason(
        kind="quarantine",
        text=f"quarantined: {mark}{parted if mark.position is not None else ''}; {after}",
        since=mark.since,
        until=mark.next_try,
        blocked=mark.next_try is None,
    )


def _suspension(scene: _Scene) -> Iterator[Reason]:
    if scene.status.runtime_status is not RuntimeStatus.SUSPENDED:
        return
    last = next((event for event in reversed(scene.events) if isinstance(event, ExecutionSuspended)), None)
    why = f" ({last.reason})" if last is not None and last.reason else ""
    yield Reason(
        kind="suspended",
        text=f"suspended{why}: {advised('resume', scene.snapshot.instance)} lets it go on",
        since=None if last is None else moment(last.at),
        blocked=True,
    )


def _mail(scene: _Scene) -> Iterator[Reason]:
    """Messages that no turn has read: somebody has them, or nobody can."""
    count = scene.snapshot.unread + (scene.snapshot.start is not None)
    if not count or scene.status.quarantined is not None or scene.snapshot.parked_until:
        return
    what = f"{count} message{'s' if count > 1 else ''} to be read"
    if scene.told is not None and scene.told.holder:
        idle = scene.told.idle_ms / 1000
        yield Reason(kind="mail", text=f"{what}: {scene.told.holder} has the turn, lease renewed {idle:.1f} s ago")
        return
    able = _workers(scene.members, _TURNS)
    knowing = [name for name in able if scene.snapshot.name in scene.members.workers[name].orchestrators]
    if not able:
        yield Reason(kind="mail", text=f"{what}, and no worker that runs orchestrations lives: start one", blocked=True)
    elif not knowing:
        yield Reason(
            kind="mail",
            text=f"{what}, and none of {len(able)} workers knows the orchestrator {scene.snapshot.name!r}: start one "
            "whose app registers it",
            blocked=True,
        )
    else:
        told = "waits for one of" if scene.told is not None else "the sweep will tell"
        yield Reason(kind="mail", text=f"{what}: {told} {len(knowing)} workers that know it")


def _delay(scene: _Scene) -> Iterator[Reason]:
    until = scene.snapshot.parked_until
    if until and scene.status.quarantined is None:
        yield Reason(kind="delay", text="its start is delayed", until=moment(until))


def _activities(scene: _Scene) -> Iterator[Reason]:
    for call in scene.calls:
        text = f"activity {call.name} (call {call.number})"
        last = f"; attempt {(call.attempt or 2) - 1} failed: {call.last_failure.type}" if call.last_failure else ""
        match call.state:
            case "running":
                text += f": attempt {call.attempt} runs on {call.worker}"
            case "retrying":
                text += f": attempt {call.attempt} comes"
            case "handed-over":
                text += ": handed over, `redurable complete-activity` with its token completes it"
            case "queued":
                text += f": attempt {call.attempt} waits in queue {call.task_queue!r}{_lacks(scene.members, call)}"
            case _:
                text += ": its outcome is on the way, or its task lies behind many others"
        yield Reason(
            kind="activity",
            text=text + last,
            since=call.scheduled_at,
            until=call.next_attempt_at,
            blocked=call.state == "queued" and bool(_lacks(scene.members, call)),
        )


def _lacks(members: Membership, call: PendingActivity) -> str:
    """What keeps every worker from taking that task; a foreign worker may take it all the same."""
    able = [members.workers[name] for name in _workers(members, _TASKS)]
    serving = [skills for skills in able if call.task_queue in skills.task_queues]
    if not able:
        return ", and no worker that runs activities lives: start one"
    if not serving:
        return f", which none of {len(able)} workers serves: start one with --task-queue {call.task_queue}"
    if not any(call.name in skills.activities for skills in serving):
        return f", and none of {len(serving)} workers that serve it knows the activity: start one that registers it"
    return ""


def _timers(scene: _Scene) -> Iterator[Reason]:
    timers = [made for made in scene.state.open.values() if isinstance(made, TimerCreated)]
    for made in sorted(timers, key=lambda made: made.due):
        if made.seq != DEADLINE:
            yield Reason(kind="timer", text="a timer", since=moment(made.at), until=moment(made.due))
    started = scene.state.started
    if started is not None and started.deadline:
        until = moment(started.deadline)
        yield Reason(kind="timer", text="the execution timeout", since=moment(started.at), until=until)


def _children(scene: _Scene) -> Iterator[Reason]:
    for made in scene.state.open.values():
        if isinstance(made, SubOrchestrationScheduled):
            text = f"sub-orchestration {made.name}, instance {made.instance}: {advised('explain', made.instance)}"
            until = moment(made.not_before) if made.not_before else None
            yield Reason(kind="child", text=text, since=moment(made.at), until=until)


def _events(scene: _Scene) -> Iterator[Reason]:
    for name, since in sorted(scene.status.awaited_events.items()):
        yield Reason(kind="event", text=f"external event {name!r}", since=since)


def _workers(members: Membership, role: str) -> list[str]:
    return sorted(name for name, skills in members.workers.items() if role in skills.roles)
