"""Looks at the whole hub, for whoever wants to know: one worker of all that can, so that nothing is counted twice, and
the store is asked once.

Who it is follows from the membership. One that falls silent is followed by another within seconds, and says itself how
long its last look is valid: what it told is not shown for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from redurable.core.values import RuntimeStatus
from redurable.errors import StoreRefused
from redurable.facts import ANSWERS, INTAKE, OUTBOX, READY, HubLeft, HubSampled, StreamSampled
from redurable.store.depths import Depth, Depths
from redurable.store.queries import Counts
from redurable.worker.common import Common, log
from redurable.worker.role import keep_polling

VALID_ROUNDS = 3
"""A look is valid for so many rounds: one may be late, a worker that has stopped looking is not shown much longer."""
UNNAMED = "_unknown"
"""All orchestrators together that no worker registers, and all task queues that no code names: any program may start
one, or say that it serves one."""
OPEN = tuple(s for s in RuntimeStatus if not s.finished and s is not RuntimeStatus.CONTINUED_AS_NEW)


class Survey:
    """`queues` are the task queues that this worker's code names, whether it serves them or not."""

    name = "survey"

    def __init__(self, common: Common, queues: Iterable[str]) -> None:
        self._common = common
        self._queues = frozenset(queues)
        self._chosen = False
        self._refused = False

    async def run(self) -> None:
        try:
            await keep_polling(self)
        finally:
            self._leave()

    async def poll(self) -> int:
        """One round."""
        common = self._common
        if common.facts.hub and common.reception.open and common.crew.is_surveyor:
            self._chosen = True
            named = self._queues | common.crew.task_queues()
            found = await self._look(sorted(named))
            if found is not None and common.crew.is_surveyor:  # It may have waited long for that answer.
                common.facts.announce(self._sample(*found, named))
                return common.settings.survey_every_ms
        self._leave()
        return min(common.settings.survey_every_ms, common.settings.heartbeat_every_ms)

    async def _look(self, named: Sequence[str]) -> tuple[Depths, Counts] | None:
        """None where this user may not look: metrics are never a reason for work to stand still."""
        try:
            return await self._common.store.depths(named), await self._common.store.counts()
        except StoreRefused as error:
            if not self._refused:
                self._refused = True
                log.warning("no metrics of the whole hub: %s", error)
            return None

    def _leave(self) -> None:
        if self._chosen:
            self._chosen = False
            self._common.facts.announce(HubLeft())

    def _sample(self, found: Depths, counts: Counts, named: frozenset[str]) -> HubSampled:
        return HubSampled(
            streams=tuple(_streams(found, named)),
            instances=tuple(_open_instances(counts, self._common.crew.orchestrators())),
            quarantined=counts.quarantined,
            workers=self._common.crew.by_role(),
            dead=found.dead,
            timers=found.timers,
            due=found.due,
            valid=VALID_ROUNDS * self._common.settings.survey_every_ms / 1000,
        )


def _streams(found: Depths, named: frozenset[str]) -> Iterator[StreamSampled]:
    yield _stream(READY, found.ready)
    for name, depth in found.queues.items():
        if name in named:
            yield _stream(name, depth)
    others = [depth for name, depth in found.queues.items() if name not in named]
    if others:
        yield _stream(UNNAMED, _together(others))
    for name, length in ((INTAKE, found.intake), (OUTBOX, found.outbox), (ANSWERS, found.answers)):
        yield StreamSampled(name, length, length)


def _open_instances(counts: Counts, known: set[str]) -> Iterator[tuple[str, str, int]]:
    """Those of every orchestrator that is known, 0 included, and all others together."""
    found = Counter({(name, status): 0 for name in known for status in OPEN})
    for (name, status), count in counts.instances.items():
        if status in OPEN:
            found[name if name in known else UNNAMED, status] += count
    for (name, status), count in found.items():
        yield name, status.value, count


def _stream(name: str, depth: Depth) -> StreamSampled:
    waiting, oldest = depth.waiting_ms / 1000, depth.pending_ms / 1000
    return StreamSampled(name, depth.length, depth.lag, depth.pending, depth.consumers, waiting, oldest)


def _together(depths: list[Depth]) -> Depth:
    return Depth(
        sum(depth.length for depth in depths),
        sum(depth.lag for depth in depths),
        sum(depth.pending for depth in depths),
        max(depth.consumers for depth in depths),
        max(depth.waiting_ms for depth in depths),
        max(depth.pending_ms for depth in depths),
    )
