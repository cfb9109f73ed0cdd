"""The autoscalers' formula, as their documents state it."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.autoscale_picture import draw, p99
from benchmarks.scaling import Autoscaler, Rule

RULE = Rule(target=10, least=1, most=10, polling=5, stabilization=120, cooldown=300, period=15)


def test_it_is_figure_by_target_rounded_up_within_the_bounds() -> None:
    for figure, pods in ((0, 1), (9, 1), (21, 3), (50, 5)):
        assert Autoscaler(RULE).wanted(0, 1, figure) == pods
    assert Autoscaler(RULE).wanted(0, 8, 500) == 10
    assert Autoscaler(replace(RULE, least=3)).wanted(0, 3, 0) == 3


def test_a_tenth_more_or_less_changes_nothing() -> None:
    assert Autoscaler(RULE).wanted(0, 3, 32) == 3
    assert Autoscaler(RULE).wanted(0, 3, 34) == 4


def test_it_grows_by_four_or_to_the_double_a_period() -> None:
    scaler = Autoscaler(RULE)
    assert scaler.wanted(0, 1, 500) == 5
    assert scaler.wanted(5, 5, 500) == 5
    assert scaler.wanted(16, 5, 500) == 10


def test_it_shrinks_to_the_highest_of_the_window() -> None:
    scaler = Autoscaler(RULE)
    assert scaler.wanted(0, 5, 50) == 5
    assert scaler.wanted(60, 5, 20) == 5
    assert scaler.wanted(121, 5, 10) == 2
    assert scaler.wanted(181, 2, 10) == 1


def test_the_last_pod_goes_after_the_cooldown_and_only_from_a_pool_that_may_be_empty() -> None:
    scaler = Autoscaler(replace(RULE, least=0))
    assert scaler.wanted(0, 1, 1) == 1
    assert scaler.wanted(299, 1, 0) == 1
    assert scaler.wanted(300, 1, 0) == 0
    assert scaler.wanted(305, 0, 0) == 0
    assert scaler.wanted(310, 0, 1) == 1
    stays = Autoscaler(RULE)
    assert stays.wanted(0, 1, 1) == 1
    assert stays.wanted(10_000, 1, 0) == 1


def test_the_picture_is_drawn_of_what_happened() -> None:
    assert p99([(0.1, 1.0), (0.2, 3.0), (5.0, 2.0)]) == [(1.0, 3.0), (5.0, 2.0)]
    assert draw([], []).count("<polyline") == 4
