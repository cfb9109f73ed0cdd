"""Events whose instance does not exist, as the client sees them, and who writes the hub's rule for them."""

from __future__ import annotations

import logging

import pytest

from redurable import Client, InstanceFinished, InstanceNotFound
from redurable.facts import EventsUnclaimed, Fact
from redurable.store.unknown import UnknownInstance
from tests.unit.client.bench import Bench, Order, process


@pytest.mark.parametrize(
    ("rule", "outcome", "words"),
    [
        (UnknownInstance(), "kept", "it is kept until the instance starts"),
        (UnknownInstance("drop"), "dropped", "it is dropped"),
        (UnknownInstance("dead-letter"), "buried", "it goes to the dead letters"),
    ],
    ids=["keep", "drop", "dead-letter"],
)
async def test_the_sender_is_warned(
    bench: Bench, client: Client, rule: UnknownInstance, outcome: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    facts: list[Fact] = []
    client.facts.subscribe(facts.append)
    await bench.store.set_unknown(rule)
    with caplog.at_level(logging.WARNING, "redurable.client"):
        await client.raise_event("x", "Price", 2)
    assert caplog.messages == [f"event 'Price': no instance 'x' in hub 'orders': {words}"]
    assert facts == [EventsUnclaimed(outcome, 1)]

    handle = await client.start(process, Order(lines=["a"]), instance_id="x")
    await bench.turns()
    if outcome != "kept":
        await client.raise_event("x", "price", 4)
        await client.raise_event("x", "Price", 3)
        await bench.turns()
    assert (await handle.result()).total == (2 if outcome == "kept" else 3)
    assert len(caplog.messages) == 1
    with pytest.raises(InstanceFinished, match="instance 'x' has finished"):
        await client.raise_event("x", "Price", 5)


async def test_a_repeated_event_is_kept_once(bench: Bench, client: Client) -> None:
    for _ in range(3):
        await client.raise_event("x", "Price", 2, event_id="price-1")
    await client.start(process, Order(lines=["a"]), instance_id="x")
    assert (await client.get_status("x")).unread_mail == 1
    await bench.turns()
    assert [type(event).__name__ for event in await client.get_history("x")].count("EventRaised") == 1


async def test_control_messages_need_an_instance(client: Client) -> None:
    for control in (client.terminate, client.suspend, client.resume):
        with pytest.raises(InstanceNotFound, match="no instance 'x' in hub 'orders'"):
            await control("x")


async def test_who_creates_a_hub_writes_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDURABLE_UNKNOWN_INSTANCE", "drop")
    facts: list[Fact] = []
    async with Client("memory://client-events", hub="made") as maker:
        await maker.start("process", {"lines": []})
        maker.facts.subscribe(facts.append)
        await maker.raise_event("x", "Price", 1)
    monkeypatch.setenv("REDURABLE_UNKNOWN_INSTANCE", "keep")
    async with Client("memory://client-events", hub="made") as other:
        other.facts.subscribe(facts.append)
        await other.start("process", {"lines": []})
        await other.raise_event("x", "Price", 1)
    assert facts == [EventsUnclaimed("dropped", 1)] * 2
