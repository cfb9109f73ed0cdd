"""What an app is put together from: other apps, whole packages, and instances whose methods are activities."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from redurable import App, OrchestrationContext, OrchestrationFailed, RegistrationError, RetryPolicy, activity
from redurable.testing import environment


class Payments(ABC):
    """What orchestrators know."""

    @activity(retry=RetryPolicy(max_attempts=4), task_queue="money")
    @abstractmethod
    async def charge(self, amount: int, currency: str = "EUR") -> str:
        """Take the money."""

    @activity
    def refund(self, amount: int) -> int:
        return -amount


class Gateway(Payments):
    """What a worker has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.plain = "no activity"

    @activity(retry=RetryPolicy(max_attempts=9), task_queue="money")
    async def charge(self, amount: int, currency: str = "EUR") -> str:
        return f"{self.name} took {amount} {currency}"


async def test_methods_are_called_through_their_class_and_run_on_the_instance() -> None:
    orders, worker = App("shop", default_retry=RetryPolicy(max_attempts=6)), App("shop")

    @orders.orchestrator
    async def buy(ctx: OrchestrationContext) -> list[Any]:
        dear = Payments.charge.options(task_queue="default")
        return [
            await ctx.call_activity(Payments.charge, 3, currency="USD"),
            await ctx.call_activity(dear, 5),
            await ctx.call_activity(Payments.refund, 2),
            await ctx.call_activity("charge", 7),
        ]

    worker.include(orders)
    worker.add_activities(Gateway("Visa"))
    assert worker.registry.names == ("buy", "charge", "refund")
    async with environment(worker) as env:
        handle = await env.client.start(buy, instance_id="one")
        assert await handle.result() == ["Visa took 3 USD", "Visa took 5 EUR", -2, "Visa took 7 EUR"]
        scheduled = [row for row in await env.client.get_history("one") if type(row).__name__ == "ActivityScheduled"]
        assert [getattr(row, "task_queue", "") for row in scheduled] == ["money", "default", "default", "default"]

    assert Payments.charge.options_in(orders.registry).retry.max_attempts == 4
    assert Payments.refund.options_in(orders.registry).retry.max_attempts == 6
    assert Payments.refund.options_in(worker.registry).retry.max_attempts == 3
    assert await Gateway("Amex").charge(1) == "Amex took 1 EUR"
    assert Payments.charge.__doc__ == "Take the money."


async def test_a_method_decides_which_errors_are_worth_another_attempt() -> None:
    class Stock:
        tried = 0

        @activity(retry_if=lambda error: "later" in str(error))
        def reserve(self, sku: str) -> None:
            self.tried += 1
            raise LookupError("later" if self.tried < 2 else "sold out")

    app, stock = App("stock"), Stock()
    app.add_activities(stock)

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> None:
        await ctx.call_activity(Stock.reserve, "tea")

    async with environment(app) as env:
        handle = await env.client.start(main)
        await env.advance(timedelta(hours=1))
        with pytest.raises(OrchestrationFailed, match="sold out"):
            await handle.result()
    assert stock.tried == 2


def test_wrong_classes_are_refused() -> None:
    class Renames(Payments):
        @activity(name="Charge")
        async def charge(self, amount: int, currency: str = "EUR") -> str:
            return ""

    app, loose, loose_class = App("shop"), cast("Any", activity), cast("Any", Payments)
    with pytest.raises(RegistrationError, match=r"overrides activity 'charge' as 'Charge'.*@activity\(name='charge'\)"):
        app.add_activities(Renames())
    with pytest.raises(RegistrationError, match="got the class Gateway: give it an instance"):
        app.add_activities(Gateway)
    with pytest.raises(RegistrationError, match="got a int"):
        app.add_activities(3)
    with pytest.raises(TypeError, match="abstract"):
        loose_class()
    with pytest.raises(RegistrationError, match="there is no option 'queue'"):
        loose(queue="x")
    app.add_activities(Gateway("one"))
    with pytest.raises(RegistrationError, match="activity 'charge' is registered twice"):
        app.add_activities(Gateway("two"))


def test_an_included_app_is_followed() -> None:
    shop, orders, billing = App("shop"), App("orders"), App("billing")

    @orders.activity
    def pack() -> None: ...

    shop.include(orders)
    orders.include(billing)
    billing.include(orders)  # in a circle, which is of no use, and harmless
    assert shop.registry.names == ("pack",)

    @billing.activity(retry=RetryPolicy(max_attempts=8))
    def bill() -> None: ...

    @billing.orchestrator
    async def invoice(ctx: OrchestrationContext) -> None: ...

    assert shop.registry.names == orders.registry.names == ("bill", "invoice", "pack")
    assert shop.registry.activity("bill") is bill.definition
    shop.include(billing)
    with pytest.raises(RegistrationError, match="cannot include itself"):
        shop.include(shop)
    taken = App("taken")
    taken.activity(name="pack")(lambda: None)
    with pytest.raises(RegistrationError, match=r"activity 'pack' is registered twice, as .*pack and .*lambda"):
        shop.include(taken)
    assert invoice.definition.registry is billing.registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package `scanned`, empty."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    folder = tmp_path / "scanned"
    folder.mkdir()
    (folder / "__init__.py").write_text("from redurable import App\napp = App('scanned')\n")
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "scanned"]:
        del sys.modules[name]


def test_a_package_is_scanned(package: Path) -> None:
    (package / "orders.py").write_text("from scanned import app\n@app.activity\ndef pack() -> None: ...\n")
    (package / "__main__.py").write_text("raise SystemExit('a program')\n")
    deep = package / "deep" / "deeper"
    deep.mkdir(parents=True)
    (package / "deep" / "__init__.py").touch()
    (deep / "__init__.py").touch()
    source = "from redurable import App\nother = App('other')\n@other.activity\ndef send() -> None: ...\n"
    (deep / "mail.py").write_text(source)
    app = App("main")
    app.scan("scanned")
    app.scan("scanned")
    assert app.registry.names == ("pack", "send")


def test_a_scan_says_what_is_wrong(package: Path) -> None:
    app = App("main")
    with pytest.raises(RegistrationError, match=r"scan\('nowhere.at.all'\): there is no module 'nowhere'"):
        app.scan("nowhere.at.all")
    with pytest.raises(RegistrationError, match="none of its modules registers a function"):
        app.scan("scanned")
    wrong = package / "wrong.py"
    for source, words in {
        "import nosuchlibrary": "scanned.wrong needs 'nosuchlibrary', which is not installed",
        "1 / 0": "importing scanned.wrong raised ZeroDivisionError: division by zero",
        "from scanned import app\n@app.orchestrator\ndef f(): ...": "in scanned.wrong: orchestrator 'f' is not",
    }.items():
        wrong.write_text(source)
        with pytest.raises(RegistrationError, match=words):
            app.scan("scanned")
        sys.modules.pop("scanned.wrong", None)
        for cached in (package / "__pycache__").glob("wrong*"):
            cached.unlink()
