"""`redurable worker` around a worker that does what the test wants: what it is given, and how its end is told."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from typer.testing import CliRunner, Result

from redurable.cli import main
from redurable.cli import worker as module
from redurable.errors import StoreRefused, WorkerStopped
from redurable.facts import Facts
from redurable.telemetry import exporting, tracing

SOURCE = """
from redurable import App
app = App("shop")

@app.activity(task_queue="payments")
async def charge(sum: int) -> int:
    return sum

@app.orchestrator
async def hello(ctx) -> None: ...
"""


class FakeWorker:
    """Stands where `Worker` does; `opening` and `running` are what it raises there."""

    made: ClassVar[list[FakeWorker]] = []
    opening: ClassVar[Exception | None] = None
    running: ClassVar[Exception | None] = None

    def __init__(self, app: Any, address: str, **options: Any) -> None:
        self.arguments = (app.name, address, options)
        self.facts = Facts()
        self.id, self.hub = "w1", options["hub"]
        self.tracing: Any = None
        FakeWorker.made.append(self)

    def instrument(self) -> None:
        self.tracing = "on"

    async def __aenter__(self) -> Self:
        if FakeWorker.opening is not None:
            raise FakeWorker.opening
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def run(self) -> None:
        if FakeWorker.running is not None:
            raise FakeWorker.running


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDURABLE_REDIS_URL", "REDURABLE_HUB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setattr(module, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "made", [])
    (tmp_path / "shop_of_fakes.py").write_text(SOURCE)


def call(*words: str) -> Result:
    return CliRunner().invoke(main.app, ["worker", "shop_of_fakes:app", "--metrics-port", "0", *words])


def test_the_worker_gets_what_the_line_says() -> None:
    first = call()
    second = call(
        "--redis", "redis://r:1", "--hub", "other", "--roles", "activities", "--task-queue", "a,b", "--task-queue", "c"
    )
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "is ready" in first.stdout
    assert first.stdout.count("\n") == 1
    assert [worker.arguments for worker in FakeWorker.made] == [
        ("shop", "embedded:.redurable", {"hub": "shop", "roles": None, "task_queues": None}),
        ("shop", "redis://r:1", {"hub": "other", "roles": {"activities"}, "task_queues": {"a", "b", "c"}}),
    ]


def test_a_role_that_died_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorker, "running", WorkerStopped("the role timers died: ValueError: x\ny"))
    result = call()
    assert result.exit_code == 1
    assert result.stderr == "redurable: the role timers died: ValueError: x y\n"


def test_a_store_that_refuses_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorker, "opening", StoreRefused("maxmemory-policy is allkeys-lru: set noeviction"))
    result = call()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "redurable: maxmemory-policy is allkeys-lru: set noeviction\n"


def test_tracing_is_switched_on_by_the_line_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "exporting", nullcontext)
    monkeypatch.setattr(tracing, "instrument", FakeWorker.instrument)
    call()
    call("--tracing")
    monkeypatch.setenv("REDURABLE_TRACING", "1")
    call()
    call("--no-tracing")
    assert [worker.tracing for worker in FakeWorker.made] == [None, "on", "on", None]


@pytest.mark.parametrize("words", [("--log-format", "xml"), ("--log-level", "loud")])
def test_what_nobody_knows_is_refused(words: tuple[str, str]) -> None:
    assert call(*words).exit_code == 2


def test_label_values_are_what_the_app_registers_and_the_worker_serves() -> None:
    app = module.load_app("shop_of_fakes:app")
    names = module.names_of(app, None)
    assert (names.orchestrators, names.activities) == ({"hello"}, {"charge", "redurable.http"})
    assert names.queues == {"payments", "default"}
    assert module.names_of(app, {"vip"}).queues == {"vip"}
