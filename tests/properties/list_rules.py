"""Questions about many instances, and what the retention asks, put to both stores."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from redurable.core.values import RuntimeStatus
from redurable.store.families import Gone, purge_family
from redurable.store.port import Hub
from redurable.store.queries import Query, Standing
from tests.properties.store_plans import HOUR_MS, instances, partitions, queries
from tests.properties.twins import INSTANCES, Twins, mended, walk


class Lists(RuleBasedStateMachine):
    """What is asked beside all that happens."""

    twins: Twins

    @rule(asked=queries, limit=st.integers(1, 3))
    def walk(self, asked: Query, limit: int) -> None:
        one, two = self.twins.run(self.twins.workers[0].ask(lambda store, _: walk(store, asked, limit)))
        assert sorted(one) == sorted(two)
        assert len(set(one)) == len(one)

    @rule()
    def counts(self) -> None:
        self.twins.same(lambda store: store.counts())

    @rule(instance=instances)
    def children(self, instance: str) -> None:
        self.twins.same(lambda store: store.children(instance))

    @rule(instance=instances, parent=instances)
    def disown(self, instance: str, parent: str) -> None:
        self.twins.same(lambda store: store.disown(instance, parent))

    @rule(number=partitions, age=st.sampled_from([0, HOUR_MS]))
    def expired(self, number: int, age: int) -> None:
        ages = {RuntimeStatus.COMPLETED: age, RuntimeStatus.TERMINATED: 0}
        one, two = self.twins.run(self.twins.workers[0].ask(lambda store, _: store.expired(number, ages, 100)))
        assert sorted(one, key=str) == sorted(two, key=str)

    @rule(number=partitions, skip=st.integers(0, 2))
    def expired_behind(self, number: int, skip: int) -> None:
        ages = {RuntimeStatus.COMPLETED: 0}
        one, two = self.twins.run(self.twins.workers[0].ask(lambda store, _: store.expired(number, ages, 1, skip)))
        assert len(one) == len(two)

    @rule()
    def awaited(self) -> None:
        self.twins.same(lambda store: store.awaited(INSTANCES))

    @rule(eldest=instances)
    def purge_family(self, eldest: str) -> None:
        """Whatever goes with it, and whoever waits for one of them."""
        self.twins.same(lambda store: _purge_family(store, eldest))

    @rule(number=partitions)
    def mend(self, number: int) -> None:
        """Nothing is wrong but that parents are gone; what is put right twice is counted once."""
        self.twins.same(lambda store: mended(store, number))


async def _purge_family(store: Hub, instance: str) -> Gone | None:
    snapshot = await store.get(instance)
    if snapshot is None or not snapshot.status.finished:
        return None
    return await purge_family(store, Standing(instance, snapshot.execution, snapshot.status))
