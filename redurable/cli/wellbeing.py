"""What `redurable doctor` finds in a hub: who works for it, what lies still, and which command helps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from redurable.client import Client
from redurable.client.insight import FRESH_MS
from redurable.client.link import Link
from redurable.store.depths import Depths
from redurable.store.membership import Membership
from redurable.store.port import Upcoming
from redurable.store.redis.diagnosis import Finding, Verdict

LATE_MS = 60_000
"""A turn, a task or a timer that waits longer is told of."""
MANY = 1_000
"""So many messages that nobody hands on are told of."""
_MOST_NAMED = 3


async def look_at(link: Link) -> AsyncIterator[Finding]:
    """Look at a hub that is there. Writes nothing."""
    store = link.store
    depths = await link.call(store.depths)
    members = await link.call(lambda: store.members(FRESH_MS))
    timers = await link.call(lambda: store.upcoming(range(store.partitions), 0, 1))
    yield _workers(members)
    for finding in _queues(depths, members):
        yield finding
    yield _timers(depths, timers)
    yield _messages(depths)
    yield _letters(depths)
    async with Client.from_store(store) as client:
        yield await _quarantined(client)


def _workers(members: Membership) -> Finding:
    roles = [role for skills in members.workers.values() for role in skills.roles]
    turns, tasks = roles.count("orchestrations"), roles.count("activities")
    found = f"{len(members.workers)} live: {turns} take turns, {tasks} run activities"
    if not members.workers:
        return Finding("workers", Verdict.WARN, "none lives", "start one: `redurable worker MODULE:APP`")
    if not turns or not tasks:
        return Finding("workers", Verdict.WARN, found, "start one without --roles, or one of the role that is missing")
    return Finding("workers", Verdict.OK, found)


def _queues(depths: Depths, members: Membership) -> Iterator[Finding]:
    waits = depths.ready.waiting_ms
    if waits > LATE_MS and members.workers:
        yield Finding(
            *("turns", Verdict.WARN, f"{depths.ready.lag} wait, the oldest for {waits / 1000:.0f} s"),
            "start more workers; `redurable queues` shows what lies where",
        )
    served = {queue for skills in members.workers.values() for queue in skills.task_queues}
    for name, depth in sorted(depths.queues.items()):
        if not depth.lag:
            continue
        if name not in served and not depth.consumers:
            text = f"start a worker with --task-queue {name}"
            yield Finding(f"queue {name}", Verdict.WARN, f"{depth.lag} tasks wait, and no worker serves it", text)
        elif depth.waiting_ms > LATE_MS:
            found = f"{depth.lag} tasks wait, the oldest for {depth.waiting_ms / 1000:.0f} s"
            yield Finding(f"queue {name}", Verdict.WARN, found, "start more workers that serve it")


def _timers(depths: Depths, upcoming: Upcoming) -> Finding:
    late = max((upcoming.now - timer.due for timer in upcoming.timers), default=0)
    if late > LATE_MS:
        found = f"{depths.due} of {depths.timers} are overdue, the oldest for {late / 1000:.0f} s"
        return Finding("timers", Verdict.WARN, found, "workers fire them: start one, or look at the logs of those")
    return Finding("timers", Verdict.OK, f"{depths.timers} wait")


def _messages(depths: Depths) -> Finding:
    found = f"{depths.outbox} in outboxes, {depths.intake} in the intake, {depths.answers} answers"
    if max(depths.outbox, depths.intake, depths.answers) > MANY:
        return Finding(
            *("messages", Verdict.WARN, found), "workers hand them on: start one, or look at the logs of those"
        )
    return Finding("messages", Verdict.OK, found)


def _letters(depths: Depths) -> Finding:
    if depths.dead:
        return Finding(
            *("dead letters", Verdict.WARN, f"{depths.dead} lie there"),
            "`redurable dead-letters list` says why; then redrive or drop them",
        )
    return Finding("dead letters", Verdict.OK, "none")


async def _quarantined(client: Client) -> Finding:
    page = await client.list_page(limit=MANY, quarantined=True)
    if not page.instances:
        return Finding("quarantine", Verdict.OK, "no instance")
    count = f"{len(page.instances)}{' or more' if page.continuation else ''}"
    named = ", ".join(status.instance_id for status in page.instances[:_MOST_NAMED])
    return Finding(
        *("quarantine", Verdict.WARN, f"{count}: {named}{', …' if len(page.instances) > _MOST_NAMED else ''}"),
        "`redurable list --quarantined` names them, `redurable explain ID` says why",
    )
