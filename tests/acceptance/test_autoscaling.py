"""Real workers, scaled by the real figure: a small wave. The large one is `python -m benchmarks.autoscale`."""

from __future__ import annotations

import pytest

from benchmarks.autoscale import Sample, Story, Wave, simulate
from benchmarks.scaling import Autoscaler, Rule

WAVE = Wave(seconds=2.0, low=10.0, high=20.0, work=0.15, slots=3, naps=2, nap=4.0)
"""`simulate` itself compares every result, and sees that every activity ran once and every worker ended in peace."""

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("autoscaling")]


def _rule(least: int) -> Rule:
    return Rule(target=4, least=least, most=3, polling=0.2, stabilization=1, cooldown=1.5, period=0.75)


async def test_workers_come_and_go_as_the_formula_says() -> None:
    rule = _rule(least=1)
    story = await simulate(rule, WAVE)
    _assert_formula(rule, story)
    assert story.most == 3
    assert story.started >= 3
    assert min(sample.wanted for sample in story.samples) == 1
    assert any(sample.wanted == 1 for sample in _asleep(story))  # The timers are open, the figure is 0: one stays.


async def test_a_pool_of_none_is_woken_by_work_and_by_a_timer_that_is_due() -> None:
    rule = _rule(least=0)
    story = await simulate(rule, WAVE)
    _assert_formula(rule, story)
    assert story.samples[0].pods == 0
    asleep = _asleep(story)
    emptied = next(number for number, sample in enumerate(asleep) if sample.wanted == 0)
    assert any(sample.wanted == 1 for sample in asleep[emptied:])
    assert story.samples[-1].wanted == 0
    assert all(late >= 0 for late in story.lateness)


def _assert_formula(rule: Rule, story: Story) -> None:
    """Every decision follows from the figures, and the next look finds as many pods as were wanted."""
    scaler = Autoscaler(rule)
    assert [scaler.wanted(s.at, s.pods, s.figure) for s in story.samples] == [s.wanted for s in story.samples]
    assert [s.pods for s in story.samples[1:]] == [s.wanted for s in story.samples[:-1]]


def _asleep(story: Story) -> list[Sample]:
    return [sample for sample in story.samples if sample.at >= story.slept]
