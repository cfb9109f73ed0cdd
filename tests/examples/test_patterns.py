"""What the shorter programs promise, in every detail that their output does not show."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from examples import (
    data_pipeline,
    error_handling,
    eternal_orchestration,
    fan_out_fan_in,
    file_processing,
    function_chaining,
    retry_gallery,
    saga,
    typed_orders,
)
from redurable import ActivityContext, Client, InvalidPayload, OrchestrationCanceled, OrchestrationFailed
from redurable.testing import environment


async def scheduled(client: Client, instance: str) -> list[str]:
    """The activities of an instance, in the order in which they were called."""
    return [getattr(event, "name", "") for event in await client.get_history(instance) if "Scheduled" in str(event)]


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_a_chain_calls_one_after_the_other_and_keeps_types() -> None:
    async with environment(function_chaining.app) as env:
        handle = await env.client.start(function_chaining.bill, "Ada")
        assert await handle.result() == "Ada: 412 kWh, 131.84 EUR"
        history = [type(event).__name__ for event in await env.client.get_history(handle.instance_id)]
        assert history[1:-1] == ["ActivityScheduled", "ActivityStarted", "ActivityCompleted"] * 4
        assert await scheduled(env.client, handle.instance_id) == [
            "read_meter",
            "consumption",
            "price",
            "write_invoice",
        ]
    assert await function_chaining.price(2_750) == Decimal("850.00")


async def test_a_pipeline_writes_what_it_says_and_can_be_repeated(tmp_path: Path) -> None:
    source = tmp_path / "sales.csv"
    source.write_text(data_pipeline.SALES)
    async with environment(data_pipeline.app) as env:
        reports = [await (await env.client.start(data_pipeline.pipeline, source, tmp_path)).result() for _ in range(2)]
    assert reports[0] == reports[1]
    assert json.loads(reports[0].loaded_into.read_text()) == {"PT": 99_700, "LV": 50_000, "PE": 4_900}
    assert len(reports[0].refused) == 2
    assert names(tmp_path) == ["LV.json", "PE.json", "PT.json", "raw.csv", "revenue.json", "sales.csv"]


async def test_no_more_suppliers_are_asked_at_a_time_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out_fan_in, "PRICES", {f"s{number}": 1_000 - number for number in range(30)})
    async with environment(fan_out_fan_in.app) as env:
        handle = await env.client.start(fan_out_fan_in.buy, "chair")
        purchase = await handle.result()
        assert (purchase.best.supplier, purchase.offers, purchase.silent) == ("s29", 30, [])
        open_calls, most = 0, 0
        for event in await env.client.get_history(handle.instance_id):
            open_calls += {"ActivityScheduled": 1, "ActivityCompleted": -1}.get(type(event).__name__, 0)
            most = max(most, open_calls)
        assert most == fan_out_fan_in.AT_A_TIME


async def test_a_silent_supplier_costs_only_its_offer() -> None:
    async with environment(fan_out_fan_in.app) as env:
        handle = await env.client.start(fan_out_fan_in.buy, "chair")
        await env.advance(timedelta(seconds=1))
        purchase = await handle.result()
    assert (purchase.best.supplier, purchase.best.cents) == ("Evans", 10_990)
    assert (purchase.offers, purchase.silent) == (5, ["Clark"])


async def test_an_eternal_orchestration_loses_no_movement() -> None:
    async with environment(eternal_orchestration.app) as env:
        stock = eternal_orchestration.Stock(article="lamp", pieces=100)
        handle = await env.client.start(eternal_orchestration.shelf, stock)
        for number in range(35):
            await env.client.raise_event(handle.instance_id, "Movement", -1 if number % 2 else 3, event_id=f"m{number}")
        await env.client.raise_event(handle.instance_id, "Movement", 3, event_id="m0")
        await env.run_until_idle()
        status = await env.client.get_status(handle.instance_id)
        assert status.custom_status == {"pieces": 100 + 18 * 3 - 17, "movements": 35}
        assert len(await env.client.list_executions(handle.instance_id)) == 4
        await env.client.raise_event(handle.instance_id, "Movement", 0)
        assert (await handle.result()).orders == 0


async def cancelled_references(client: Client, instance: str) -> list[str]:
    """What `cancel` was called for, in order."""
    return [
        json.loads(bytes(getattr(event, "call").args[1]))  # noqa: B009 - the rows are of many types
        for event in await client.get_history(instance)
        if getattr(event, "name", "") == "cancel"
    ]


async def test_a_saga_compensates_in_reverse_order_and_the_error_goes_on() -> None:
    async with environment(saga.app) as env:
        handle = await env.client.start(saga.book_journey, ["flight to Lima", "car in Lima", "hotel in Lima"])
        with pytest.raises(OrchestrationFailed, match="no car in Lima left"):
            await handle.result()
        calls = await scheduled(env.client, handle.instance_id)
        assert calls == ["book", "book", "cancel", "cancel", "close_file"]
        assert await cancelled_references(env.client, handle.instance_id) == [
            f"{handle.instance_id}-2",
            f"{handle.instance_id}-1",
        ]


async def test_a_journey_that_nobody_pays_for_is_cancelled_after_a_day() -> None:
    async with environment(saga.app) as env:
        handle = await env.client.start(saga.book_journey, ["flight", "hotel"])
        await env.advance(timedelta(hours=24))
        with pytest.raises(OrchestrationFailed, match="no event 'Paid' came within 1 day"):
            await handle.result()
        calls = await scheduled(env.client, handle.instance_id)
        assert calls == ["book", "book", "cancel", "cancel", "close_file"]


async def test_a_journey_that_is_cancelled_is_undone_before_it_ends() -> None:
    async with environment(saga.app) as env:
        handle = await env.client.start(saga.book_journey, ["flight", "hotel"])
        await env.run_until_idle()
        await env.client.cancel(handle.instance_id, "the customer is ill")
        with pytest.raises(OrchestrationCanceled, match="the customer is ill"):
            await handle.result()
        calls = await scheduled(env.client, handle.instance_id)
        assert calls == ["book", "book", "cancel", "cancel", "close_file"]
        assert await cancelled_references(env.client, handle.instance_id) == [
            f"{handle.instance_id}-2",
            f"{handle.instance_id}-1",
        ]


async def test_a_saga_that_works_cancels_nothing() -> None:
    async with environment(saga.app) as env:
        handle = await env.client.start(saga.book_journey, ["flight", "hotel"])
        await env.client.raise_event(handle.instance_id, "Paid", "by card")
        assert len(await handle.result()) == 2
        assert await scheduled(env.client, handle.instance_id) == ["book", "book", "close_file"]


async def test_errors_heal_are_handled_or_go_on() -> None:
    async with environment(error_handling.app) as env:
        lines: list[str] = []
        for currency in ("PEN", "MOON", "XAF"):
            handle = await env.client.start(error_handling.convert, 100, currency)
            await env.advance(timedelta(seconds=1))
            lines.append(await handle.result())
        assert lines[:2] == ["100 PEN = 25.00 EUR", "100 MOON: what is a MOON?"]
        assert lines[2].startswith("100 XAF = 0.15 EUR (yesterday's rate: ask_bank failed after 3 attempts")
        handle = await env.client.start(error_handling.audit, "XAF")
        await env.advance(timedelta(seconds=1))
        with pytest.raises(OrchestrationFailed) as raised:
            await handle.result()
        assert raised.value.cause is not None
        assert (raised.value.type, raised.value.cause.type) == ("ActivityFailed", "ConnectionError")


EXHIBITS: dict[str, tuple[list[int], str]] = {
    "fixed": ([0, 100, 200, 300], "attempt 4 succeeded"),
    "linear": ([0, 100, 300, 600], "attempt 4 succeeded"),
    "exponential": ([0, 100, 300, 700], "attempt 4 succeeded"),
    "capped": ([0, 100, 400, 700], "attempt 4 succeeded"),
    "gives up": ([0, 100], "failed with ConnectionError, attempts: 2"),
    "no retry": ([0], "failed with ConnectionError, attempts: 1"),
    "total time": ([0, 100, 200], "failed with ConnectionError, attempts: 3"),
    "retry after": ([0, 500], "attempt 2 succeeded"),
    "retry if": ([0, 100], "failed with ConnectionError, attempts: 2"),
    "non-retryable": ([0], "failed with ValueError, attempts: 1"),
    "start to close": ([0, 300], "failed with StartToCloseTimeout, attempts: 2"),
    "schedule to close": ([0, 300], "failed with ScheduleToCloseTimeout, attempts: 2"),
    "heartbeat": ([0, 300], "failed with HeartbeatTimeout, attempts: 2"),
    "schedule to start": ([], "failed with ScheduleToStartTimeout, attempts: 0"),
}
"""When the attempts of each exhibit begin, in milliseconds after the call, and how it ends."""


async def test_every_exhibit_keeps_its_times() -> None:
    async with environment(retry_gallery.app) as env:
        for name in retry_gallery.GALLERY:
            handle = await env.client.start(retry_gallery.exhibit, name)
            await env.advance(timedelta(seconds=2))
            history = await env.client.get_history(handle.instance_id)
            called = next(event.at for event in history if type(event).__name__ == "ActivityScheduled")
            began = [event.at - called for event in history if type(event).__name__ == "ActivityStarted"]
            if name == "jitter":
                waits = [b - a for a, b in pairwise(began)]
                assert len(waits) == 3
                assert all(50 <= wait <= 150 for wait in waits)
                assert len(set(waits)) > 1
            else:
                assert (began, await handle.result()) == EXHIBITS[name], name


async def test_orders_arrive_as_models_and_wrong_ones_do_not_arrive() -> None:
    line = typed_orders.Line(article="sofa", quantity=1, unit_price=Decimal("899.00"))
    order = typed_orders.Order(id="o", placed_on=date(2026, 1, 6), lines=[line], payment=typed_orders.Invoice(days=30))
    async with environment(typed_orders.app) as env:
        handle = await env.client.start(typed_orders.process, order)
        await env.run_until_idle()
        status = await env.client.get_status(handle.instance_id)
        assert status.custom_status == "waits for the approval of 899.00 EUR"
        await env.client.raise_event(handle.instance_id, "Decision", {"approved": True, "by": "Ada"})
        assert await handle.result() == typed_orders.Receipt(
            order="o", total=Decimal("899.00"), currency="EUR", paid_by=typed_orders.Invoice(days=30), approved_by="Ada"
        )
        refused = await env.client.start(typed_orders.process, order)
        await env.client.raise_event(refused.instance_id, "Decision", {"approved": False, "by": "Ada"})
        assert await refused.result() is None
        foreign = await env.client.start("process", {**order.model_dump(mode="json"), "lines": []})
        with pytest.raises(OrchestrationFailed, match="at least 1 item") as raised:
            await foreign.result()
        assert raised.value.type == InvalidPayload.__name__
        assert await scheduled(env.client, foreign.instance_id) == []


async def test_an_interrupted_file_goes_on_where_it_was_and_counts_every_word_once(tmp_path: Path) -> None:
    await asyncio.to_thread(file_processing.write_books, tmp_path)
    async with environment(file_processing.app) as env:
        handle = await env.client.start(file_processing.summarize, tmp_path)
        await env.advance(timedelta(seconds=1))
        summary = await handle.result()
    assert summary.files == {"island.txt": 300, "moon.txt": 50, "whale.txt": 1_000}
    assert summary.resumed == {"whale.txt": 501}
    assert summary.top == [("the", 2_650), ("and", 1_300), ("whale", 1_000)]


def test_counting_stops_when_nobody_waits(tmp_path: Path) -> None:
    file_processing.write_books(tmp_path)
    context = ActivityContext(instance_id="i", execution="x", attempt=2, idempotency_key="k")
    context.pulse.cancelled = True
    with context.active(), pytest.raises(InterruptedError, match=r"nobody waits for moon\.txt"):
        file_processing.count_words(tmp_path / "moon.txt")
