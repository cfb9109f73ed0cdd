"""The relay delivers once and in order; a cached position is recognised by execution, length and commit."""

from __future__ import annotations

import pytest

from tests.model import outbox, positions
from tests.model.positions import Key


def test_a_prefix_and_a_watermark_deliver_once_and_in_order() -> None:
    assert outbox.explore(outbox.Variant()) is None


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (outbox.Variant(watermark=False), "delivered twice"),
        (outbox.Variant(reads="group"), "lost"),
        (outbox.Variant(failover=True, reissue="again"), "lost"),
    ],
)
def test_each_rule_of_the_relay_is_needed(variant: outbox.Variant, said: str) -> None:
    bad = outbox.explore(variant)
    assert bad is not None
    assert said in bad


def test_ids_above_all_watermarks_survive_a_failover_of_the_source() -> None:
    assert outbox.explore(outbox.Variant(failover=True, messages=3)) is None


@pytest.mark.parametrize("counter", [False, True])
def test_execution_length_and_commit_recognise_a_position(counter: bool) -> None:
    assert positions.explore("execution, length and commit", purge=True, failover=True, counter=counter) is None


@pytest.mark.parametrize(
    ("key", "faults"),
    [
        ("length", {"purge": True}),
        ("length", {"failover": True}),
        ("execution and length", {"failover": True}),
        ("execution and length", {"purge": True, "counter": True}),
    ],
)
def test_less_does_not_recognise_it(key: Key, faults: dict[str, bool]) -> None:
    bad = positions.explore(
        key,
        purge=faults.get("purge", False),
        failover=faults.get("failover", False),
        counter=faults.get("counter", False),
    )
    assert bad is not None
    assert "decided by" in bad
