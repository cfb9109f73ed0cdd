"""The commit protocol holds in every interleaving, and each rule of it is needed."""

from __future__ import annotations

import pytest

from tests.model.commit_protocol import Variant, explore

SOUND = {
    "foreign XADD, crashes, lost replies": Variant(foreign_adds=1, crashes=1, lost_replies=1),
    "clients that repeat themselves": Variant(client_repeats=1, crashes=1, lost_replies=1),
    "turns without events": Variant(empty_turn=True, foreign_adds=1, lost_replies=1, crashes=1),
    "without a sweeper, where nobody is foreign": Variant(sweeper="none", crashes=1, lost_replies=1, client_repeats=1),
    "foreign ring and XDEL": Variant(foreign_deletes=1, rings=1),
    "a pending entry vanishes": Variant(foreign_adds=1, vanished_pending=1, lost_replies=1),
    "failover to an older replica": Variant(failover=True, crashes=1, lost_replies=1),
    "three workers": Variant(workers=3, empty_turn=True, crashes=1),
    "turns decided ahead": Variant(ahead="sound", crashes=1, lost_replies=1),
    "turns decided ahead, and a pending entry vanishes": Variant(ahead="sound", vanished_pending=1),
    "turns decided ahead, and a failover": Variant(ahead="sound", failover=True, lost_replies=1, workers=1),
}

BROKEN = {
    "a fence on the history's length": (
        Variant(fence="length", consume="count", empty_turn=True, lost_replies=1),
        "lost",
    ),
    "a boolean flag, and a pending entry vanishes": (
        Variant(flag="boolean", sweeper="trusts flag", vanished_pending=1),
        "idle for ever",
    ),
    "acknowledging before the fence": (
        Variant(acknowledge="first", sweeper="none", rings=1),
        "idle for ever",
    ),
    "consuming by count under a foreign XDEL": (Variant(consume="count", foreign_adds=1, foreign_deletes=1), "lost"),
    "a sweeper that trusts the flag": (Variant(sweeper="trusts flag", vanished_pending=1), "idle for ever"),
    "a sweeper that looks in the stream only": (
        Variant(sweeper="looks in stream", vanished_pending=1),
        "idle for ever",
    ),
    "a turn decided ahead without a fence": (Variant(ahead="unfenced"), "two commits accepted"),
    "a turn decided ahead, whose outcome is gone when it is fenced": (Variant(ahead="forgets the outcome"), "lost"),
    "a turn decided ahead before the mail that is there": (Variant(ahead="overtakes"), "overtaken"),
    "no sweeper under a foreign XADD": (Variant(sweeper="none", foreign_adds=1), "idle for ever"),
}


@pytest.mark.parametrize("variant", SOUND.values(), ids=SOUND.keys())
def test_the_protocol_is_sound(variant: Variant) -> None:
    trace, states = explore(variant)
    assert trace is None, "\n".join(trace)
    assert states > 1000


@pytest.mark.parametrize(("variant", "property_"), BROKEN.values(), ids=BROKEN.keys())
def test_each_rule_is_needed(variant: Variant, property_: str) -> None:
    trace, _ = explore(variant)
    assert trace is not None, "the broken rule was not caught"
    assert property_ in trace[-1], "\n".join(trace)
