"""The small parts of a worker, each alone: cache, holdings, ownership, slots, clock, code."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from redurable.authoring.app import App
from redurable.core.delivery import Entry, Position
from redurable.core.known import Known
from redurable.errors import CallerError, RegistrationError
from redurable.facts import CacheEvicted, Fact, Facts
from redurable.store.membership import Skills
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.port import TaskDemand
from redurable.worker import worker as worker_module
from redurable.worker.cache import ReplayCache
from redurable.worker.code import Code
from redurable.worker.crew import TASKS, TURNS, Crew, takers_of_turns
from redurable.worker.holdings import Holdings
from redurable.worker.ownership import Ownership, new_worker_id, owner, ranked
from redurable.worker.slots import Slots
from redurable.worker.worker import Worker
from tests.unit.worker.stage import settings


class _Replay(Known):
    """Stands in for a live execution: the cache looks at its position and its size only."""

    length: int = 0
    bytes: int = 0

    @property
    def position(self) -> Position:
        return Position("x", self.length, f"c{self.length}")

    @property
    def size(self) -> int:
        return self.bytes


def replay(length: int, size: int = 10) -> Known:
    return _Replay(cast("Any", None), cast("Any", None), length=length, bytes=size)


def cache(most: int = 100, most_bytes: int = 1_000) -> tuple[ReplayCache, list[Fact]]:
    facts, told = Facts(), list[Fact]()
    facts.subscribe(told.append)
    return ReplayCache(most, most_bytes, facts), told


def test_the_cache_lets_the_least_recently_used_go_by_count() -> None:
    kept, told = cache(most=2)
    replays = {name: replay(index) for index, name in enumerate("abc", 1)}
    kept.put("a", replays["a"])
    kept.put("b", replays["b"])
    known = kept.take("a")
    assert known is replays["a"]
    kept.put("a", replays["a"])
    kept.put("c", replays["c"])
    assert kept.position("b") is None
    assert kept.take_dropped() == [replays["b"]]
    assert kept.take_dropped() == []
    assert told == [CacheEvicted("full", 1)]


def test_the_cache_lets_go_by_bytes_and_counts_them_right() -> None:
    kept, _ = cache(most_bytes=100)
    kept.put("a", replay(1, 40))
    kept.put("b", replay(2, 40))
    assert kept.bytes == 80
    grown = kept.take("a")
    assert grown is not None
    assert kept.bytes == 40
    kept.put("a", replay(3, 70))
    assert (len(kept), kept.bytes) == (1, 70)
    kept.put("c", replay(4, 101))
    assert (len(kept), kept.bytes) == (0, 0)
    assert len(kept.take_dropped()) == 3


def test_the_cache_remembers_the_position_of_what_is_taken_out() -> None:
    kept, told = cache()
    kept.put("a", replay(1))
    known = kept.take("a")
    assert kept.position("a") == Position("x", 1, "c1")
    assert kept.take("a") is None
    kept.drop("a", known, "fenced")
    assert kept.position("a") is None
    assert kept.clear() == [known]
    assert told == [CacheEvicted("fenced", 1)]


def test_one_owner_per_instance_and_others_wait_in_order() -> None:
    holdings = Holdings()
    first, second, third = (Entry(0, f"{number}-0", "one") for number in (1, 2, 3))
    other = Entry(1, "1-0", "two")
    assert holdings.claim([first, other, first]) == [first, other]
    assert holdings.claim([second, third, second, first]) == []
    assert holdings.busy("one")
    assert holdings.entries() == [first, other, second, third]
    holdings.forget([second, first])
    assert holdings.release([first, other]) == [third]
    assert holdings.idle
    assert holdings.claim([third]) == [third]
    assert holdings.release([third]) == []
    assert holdings.entries() == []


def test_what_is_lost_before_its_turn_begins_is_not_begun_and_what_waited_for_it_comes_instead() -> None:
    holdings = Holdings()
    # The ids of two partitions may be the same.
    begun, lost, kept = Entry(0, "1-0", "one"), Entry(0, "2-0", "two"), Entry(1, "2-0", "three")
    behind_begun, behind_lost = Entry(0, "3-0", "one"), Entry(0, "4-0", "two")
    later = holdings.claim([begun, lost, kept, behind_begun, behind_lost])
    with holdings.put_off(later):
        assert later.pop(0) == begun
        assert holdings.begun() == [begun, behind_begun]
        holdings.forget([begun, lost])
        assert later == [kept, behind_lost]
        assert holdings.entries() == [begun, kept, behind_lost, behind_begun]
        # It comes back, as one that somebody else fell silent with.
        assert holdings.claim([replace(lost, deliveries=2)]) == []
        assert holdings.begun() == [begun, behind_begun]
        holdings.forget([kept, behind_lost])
        assert later == [replace(lost, deliveries=2)]
        holdings.forget(later)
        assert holdings.entries() == [begun, behind_begun]
    assert holdings.release([begun]) == [behind_begun]
    assert holdings.idle


def test_every_slice_has_one_owner_and_only_the_slices_of_who_leaves_move() -> None:
    workers = [f"host-{number}" for number in range(5)]
    before = {number: owner(str(number), workers) for number in range(256)}
    after = {number: owner(str(number), workers[1:]) for number in range(256)}
    assert all(after[number] == before[number] for number in before if before[number] != workers[0])
    shares = [list(before.values()).count(worker) for worker in workers]
    assert min(shares) > 256 / 5 / 2


async def test_ownership_is_shared_among_the_workers_that_take_turns() -> None:
    crew = {
        "a": Skills((TURNS,), ("one",)),
        "b": Skills((TASKS, TURNS), ("one", "two")),
        "c": Skills((TASKS,), ("one",)),
        "d": Skills((TASKS, TURNS), (), ("work",)),
    }
    assert takers_of_turns(crew) == ["a", "b"]
    assert takers_of_turns({"c": crew["c"], "d": crew["d"]}) == ["d"]
    shares = {name: Ownership(name, 16) for name in crew}
    for share in shares.values():
        assert share.assign(takers_of_turns(crew))
        assert not share.assign(["b", "a"])
    assert sorted(shares["a"].mine + shares["b"].mine) == list(range(16))
    assert shares["a"].others == shares["b"].mine
    assert [share.intake for share in shares.values()].count(True) == 1
    assert (shares["c"].mine, shares["c"].intake) == ((), False)
    shares["a"].give_up()
    assert shares["a"].mine == ()
    assert not shares["a"].intake


async def test_a_crew_knows_who_can_take_what() -> None:
    crew = Crew("a")
    assert not crew.others
    skills = {
        "a": Skills((TURNS, TASKS), ("one",), ("work",), ("default",)),
        "b": Skills((TURNS,), ("one", "two"), ("work",), ()),
        "c": Skills((TURNS, TASKS), ("two",), ("work", "rest"), ("vip",)),
    }
    crew.update({"a": skills["a"]})
    assert not crew.others
    crew.update(skills)
    assert crew.others
    assert crew.takers("one", 3) == ["b"]
    assert crew.takers("two", 3) == ranked("3", ["b", "c"])
    assert crew.takers("three", 3) == []
    assert crew.runs("rest", "vip")
    assert not crew.runs("rest", "default")
    assert not crew.runs("work", "default")


def test_the_names_of_workers() -> None:
    assert new_worker_id() != new_worker_id()


def test_slots_never_ask_for_more_than_there_is_room_for() -> None:
    kinds = {"both": frozenset({True, False}), "quick": frozenset({True})}
    slots = Slots(kinds, settings(concurrency=10, thread_concurrency=3))
    with slots.reserve() as first:
        assert first == TaskDemand(("both", "quick"), 3)
        with slots.reserve() as second:
            # No thread is free: only the queue without sync functions is asked.
            assert second == TaskDemand(("quick",), 7)
            with slots.reserve() as third:
                assert third.count == 0
    with slots.reserve(share=4) as part:
        assert part.count == 1
    assert [slots.take(False) for _ in range(4)] == [True, True, True, False]
    assert slots.demand() == TaskDemand(("quick",), 10)
    slots.give(False)
    assert slots.demand() == TaskDemand(("both", "quick"), 1)


def test_queues_come_from_the_code_or_are_chosen() -> None:
    app = App("stage")

    @app.activity(task_queue="payments")
    async def pay() -> None: ...

    @app.activity
    def load() -> None: ...

    code = Code([app])
    assert pay.name == "pay"
    assert load.name == "load"
    assert code.queues(None) == {"payments": frozenset({True}), "default": frozenset({False})}
    assert code.queues(["vip"]) == {"vip": frozenset({True, False})}
    empty = Code([App("empty")])
    assert (empty.queues(None), empty.queues(["vip"])) == ({"default": frozenset({True})}, {"vip": frozenset({True})})


def test_two_apps_with_one_name_are_refused() -> None:
    apps = [App("one"), App("two")]
    for app in apps:

        @app.activity(name="pay")
        async def pay() -> None: ...

    with pytest.raises(RegistrationError, match="apps 'one' and 'two' both register 'pay'"):
        Code(apps)


def test_a_worker_says_what_is_wrong_with_its_arguments() -> None:
    app = App("orders")
    assert Worker(app).hub == "orders"
    assert Worker(app, "memory://", hub="other").hub == "other"
    assert Worker([app, App("more")], None, hub="x").hub == "x"
    wrong: list[tuple[Any, ...]] = [("redis://localhost",), (app, App("more")), ([],), ([app, "redis://localhost"],)]
    for arguments in wrong:
        with pytest.raises(CallerError, match="give one App, or a list of them, and then the address"):
            Worker(*arguments)
    with pytest.raises(CallerError, match="the apps more, orders have different default hubs"):
        Worker([app, App("more")])
    with pytest.raises(CallerError, match=r"roles \['everything'\]: choose one or both"):
        Worker(app, roles={"everything"})
    with pytest.raises(CallerError, match="task_queues='vip' is one text"):
        Worker(app, task_queues="vip")


async def test_a_worker_that_is_not_open_does_not_run() -> None:
    with pytest.raises(CallerError, match="this worker is not open"):
        await Worker(App("orders"), "memory://").run()


async def test_a_worker_opens_and_closes_its_own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Told(MemoryStore):
        async def open(self, create: bool = True) -> bool:
            done.append("open")
            return await super().open(create)

        async def close(self) -> None:
            done.append("close")

    def open_told(*_: object, **__: object) -> Told:
        return Told(MemoryHub("opened", 4), "w1")

    monkeypatch.setattr(worker_module, "open_hub", open_told)
    for entered in (1, 2):
        async with Worker(App("opened"), "memory://parts") as worker:
            worker.stop()
            await worker.run()
            assert done == ["open", "close"] * (entered - 1) + ["open"]
    assert done == ["open", "close"] * 2
