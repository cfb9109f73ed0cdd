"""Questions about many instances, and what the retention asks, put to both stores."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from redurable.core.values import RuntimeStatus
from redurable.store.queries import Query
from tests.properties.store_plans import HOUR_MS, instances, partitions, queries
from tests.properties.twins import Twins, mended, walk


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

    @rule(number=partitions)
    def mend(self, number: int) -> None:
        """Nothing is wrong but that parents are gone; what is put right twice is counted once."""
        self.twins.same(lambda store: mended(store, number))
