"""Hands instances over to workers whose code may be the right one.

A ready entry is delivered to whoever reads its partition. When that worker's code does not know the orchestrator, or
disagrees with the history, and another live worker registers it, the entry changes hands instead of being parked. What
was handed over once is not handed over again: if the receiver cannot take the turn either, it parks the instance. So a
turn is begun by two workers at most, and each retry of a quarantined instance asks another one.

What this code cannot take, it never can: neither its names nor the beginning of that history change. So it is noted how
far the history was read, and the next time only what follows is, enough to hand the instance over again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence

from redurable.core.delivery import Delivery, Entry, Position
from redurable.core.turn import NONDETERMINISM, UNKNOWN
from redurable.facts import TurnsTaken, TurnTaken
from redurable.worker.common import Common
from redurable.worker.turn_thread import Taken

OTHERS_MAY_TAKE = (UNKNOWN, NONDETERMINISM)

MOST_NOTED = 10_000
"""So many instances that belong to other code are remembered."""


class Handover:
    """The giving side: part of every pipeline."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._noted: OrderedDict[str, Position] = OrderedDict()

    def position(self, instance: str) -> Position | None:
        """How far the history of an instance was read that this code cannot take."""
        return self._noted.get(instance)

    async def keep(self, turns: Sequence[Taken]) -> list[Taken]:
        """Hand over what others may be able to take; return the turns that are this worker's own."""
        foreign = {
            taken.delivery.entry.instance: taken.seconds
            for taken in turns
            if taken.turn.commit.park is not None and taken.turn.commit.park.reason in OTHERS_MAY_TAKE
        }
        if not foreign:
            return list(turns)
        passed = await self._pass_on([taken.delivery for taken in turns if taken.delivery.entry.instance in foreign])
        self._announce([(delivery, foreign[delivery.entry.instance]) for delivery in passed])
        gone = {delivery.entry.instance for delivery in passed}
        return [taken for taken in turns if taken.delivery.entry.instance not in gone]

    async def keep_noted(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """The same for instances of which only what follows the noted position was read."""
        passed = await self._pass_on(deliveries)
        self._announce([(delivery, 0.0) for delivery in passed])
        gone = {delivery.entry.instance for delivery in passed}
        return [delivery for delivery in deliveries if delivery.entry.instance not in gone]

    async def _pass_on(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Hand them over where somebody else may take them; return those that were."""
        passed: list[Delivery] = []
        given: dict[str, list[Entry]] = defaultdict(list)
        for delivery in deliveries:
            other = self._other(delivery)
            if other:
                self._note(delivery)
                given[other].append(delivery.entry)
                passed.append(delivery)
        for other, entries in given.items():
            await self._common.store.hand_over(entries, other)
        return passed

    def _other(self, delivery: Delivery) -> str:
        """Who may be able to take the turn; empty: nobody, or this worker was asked by another one."""
        if delivery.entry.handed:
            return ""
        takers = self._common.crew.takers(delivery.name, delivery.entry.partition)
        return takers[delivery.parks % len(takers)] if takers else ""

    def _note(self, delivery: Delivery) -> None:
        if not delivery.events:
            return
        length = delivery.base + len(delivery.events)
        instance = delivery.entry.instance
        self._noted[instance] = Position(delivery.execution, length, delivery.events[-1].commit)
        self._noted.move_to_end(instance)
        if len(self._noted) > MOST_NOTED:
            self._noted.popitem(last=False)

    def _announce(self, handed: Sequence[tuple[Delivery, float]]) -> None:
        if handed and self._common.facts.listening:
            turns = (TurnTaken(delivery.name, delivery.entry.instance, "handed", took) for delivery, took in handed)
            self._common.facts.announce(TurnsTaken(tuple(turns)))
