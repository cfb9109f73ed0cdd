"""A worker that stands still (SIGSTOP) for longer than its leases and then goes on (SIGCONT): the store refuses what it
still has to say, and nothing comes out double."""

from __future__ import annotations

import signal

from redurable.facts import ActivityAttempted, CacheEvicted, TurnsTaken
from tests.acceptance.kit import Plant
from tests.acceptance.plant_app import chain
from tests.support.faults import stop_before
from tests.support.processes import until


def _results(plant: Plant) -> list[str]:
    """How the zombie's turns ended."""
    return [turn.result for fact in plant.facts(TurnsTaken) for turn in fact.turns]


def _outcomes(plant: Plant) -> list[str]:
    """How the zombie's attempts ended."""
    return [fact.outcome for fact in plant.facts(ActivityAttempted)]


async def test_a_late_commit_is_fenced(plant: Plant) -> None:
    zombie = await plant.faulty(stop_before("commit", 2))
    handle = await plant.client.start(chain, 3, instance_id="one")
    await zombie.stopped()
    assert _results(plant) == ["ok"]

    await plant.worker()
    assert await handle.result(timeout=20) == [0, 10, 20]
    plant.assert_no_effect_twice()
    told = await plant.client.get_history("one")
    zombie.send(signal.SIGCONT)
    await until(lambda: len(_results(plant)) > 1, "the zombie's commit is answered")
    assert _results(plant)[1] == "fenced"
    await until(lambda: plant.facts(CacheEvicted) == [CacheEvicted("fenced", 1)], "it forgets what it had decided")

    assert await plant.client.get_history("one") == told
    plant.assert_no_effect_twice()
    await plant.check(["one"])


async def test_a_late_completion_is_refused(plant: Plant) -> None:
    zombie = await plant.faulty(stop_before("complete", 2))
    handle = await plant.client.start(chain, 3, instance_id="one")
    await zombie.stopped()
    assert _outcomes(plant) == ["ok"]

    heir = await plant.worker()
    assert await handle.result(timeout=20) == [0, 10, 20]
    told = await plant.client.get_history("one")
    zombie.send(signal.SIGCONT)
    await until(lambda: len(_outcomes(plant)) > 1, "the zombie's completion is answered")
    assert _outcomes(plant) == ["ok", "lost"]

    effects = plant.effects("step")
    assert [effect.pid for effect in effects] == [zombie.pid, zombie.pid, heir.pid, heir.pid]
    assert effects[1].key == effects[2].key
    assert len({effect.key for effect in effects}) == 3
    assert await plant.client.get_history("one") == told
    await plant.check(["one"])


async def test_a_zombie_under_load_rises_again_and_works_on(plant: Plant) -> None:
    zombie = await plant.faulty(stop_before("commit", 4))
    await plant.worker()
    first = await plant.lines_until(lambda: zombie.stands_still, "the zombie stands still")
    await plant.check_lines(first)

    zombie.send(signal.SIGCONT)
    await until(lambda: "fenced" in _results(plant), "what the zombie decided is fenced")
    since = len(_results(plant))
    more = await plant.lines_until(lambda: "ok" in _results(plant)[since:], "the zombie works on", first=len(first))
    await plant.check_lines({**first, **more})
    assert "Traceback" not in zombie.said
