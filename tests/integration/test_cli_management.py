"""The command line over many instances, and over one that has to go back: on real servers, with a worker beside."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from typer.testing import CliRunner, Result

from redurable import (
    App,
    Client,
    NondeterminismError,
    OrchestrationContext,
    OrchestrationEnded,
    UnknownFunction,
    Worker,
    WorkerSettings,
)
from redurable.cli import main
from redurable.testing import replay_history
from tests.support.servers import Server

QUICK = WorkerSettings(renew_every_ms=50, reclaim_every_ms=50, heartbeat_every_ms=50, sweep_every_ms=50)
PATIENCE = 20.0

app = App("manage")
broken = {"pay": True}


@app.activity
async def pay(amount: int) -> int:
    if broken["pay"]:
        raise ValueError("no money")
    return amount


@app.orchestrator
async def wait(ctx: OrchestrationContext, event: str) -> object:
    return await ctx.wait_for_external_event(event)


@app.orchestrator
async def buy(ctx: OrchestrationContext, amount: int) -> int:
    return await ctx.call_activity(pay, amount)


class Line:
    """The command line, on one hub."""

    def __init__(self, url: str, hub: str, client: Client) -> None:
        self.client = client
        self._there = ("--redis", url, "--hub", hub)

    async def result(self, *words: str, stdin: str | None = None) -> Result:
        """One command, whatever becomes of it."""
        return await to_thread.run_sync(lambda: CliRunner().invoke(main.app, [*words, *self._there], input=stdin))

    async def run(self, *words: str, code: int = 0) -> str:
        done = await self.result(*words)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.output
        return done.stdout if code == 0 else done.output

    async def json(self, *words: str) -> Any:
        return json.loads(await self.run(*words, "-o", "json"))

    async def ids(self, *words: str) -> set[str]:
        return {row["instance_id"] for row in (await self.json("list", "--all", *words))["instances"]}

    async def start(self, name: str, instance: str, given: object, **tags: str) -> None:
        chosen: Any = {"wait": wait, "buy": buy}[name]
        await self.client.start(chosen.options(instance_id=instance, tags=tags), given)


@pytest.fixture(autouse=True)
def _broken() -> None:
    broken["pay"] = True


@pytest.fixture
async def line(server: Server, hub: str) -> AsyncGenerator[Line]:
    async with _working(server, hub) as found:
        yield found


@asynccontextmanager
async def _working(server: Server, hub: str) -> AsyncGenerator[Line]:
    async with (
        Worker(app, server.url, hub=hub, settings=QUICK) as worker,
        anyio.create_task_group() as group,
        Client(server.url, hub=hub) as client,
    ):
        group.start_soon(worker.run)
        yield Line(server.url, hub, client)
        worker.stop()


async def until(condition: Callable[[], Any], what: str) -> None:
    with anyio.fail_after(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - another process's doing has no event
            await anyio.sleep(0.02)


async def running(line: Line, *instances: str) -> None:
    for instance in instances:
        await until(lambda one=instance: _is(line, one, "Running"), f"{instance} runs")


async def _is(line: Line, instance: str, status: str) -> bool:
    return (await line.client.get_status(instance)).runtime_status == status


async def ended(line: Line, *instances: str) -> None:
    for instance in instances:
        with anyio.fail_after(PATIENCE):
            with suppress(OrchestrationEnded):
                await line.client.get_handle(instance).result()


async def test_instances_are_listed_by_what_they_are_and_counted(line: Line) -> None:
    for number in range(5):
        await line.start("wait", f"w-{number}", "Go", kind="odd" if number % 2 else "even")
    await line.start("buy", "b-1", 7)
    await ended(line, "b-1")
    await running(line, *(f"w-{number}" for number in range(5)))

    assert await line.ids() == {"b-1", *(f"w-{number}" for number in range(5))}
    assert await line.ids("--status", "failed") == {"b-1"}
    assert await line.ids("--name", "wait", "--tag", "kind=odd") == {"w-1", "w-3"}
    assert await line.ids("--prefix", "b-", "--created-from", "1h") == {"b-1"}
    assert await line.ids("--created-to", "1h") == set()
    assert await line.ids("--quarantined") == set()
    table = (await line.run("list", "--tag", "kind=odd")).splitlines()
    assert table[0].split() == ["instance_id", "name", "runtime_status", "created_at", "last_updated_at", "notes"]
    assert "kind=odd" in table[1]
    counts = await line.json("list", "--count")
    assert counts == [
        {"name": "buy", "runtime_status": "Failed", "count": 1},
        {"name": "wait", "runtime_status": "Running", "count": 5},
    ]
    assert "not by prefix" in await line.run("list", "--count", "--prefix", "b", code=2)
    for words in (("Lost",), ("Lost", "--count"), ("ContinuedAsNew",)):
        said = await line.run("list", "--status", *words, code=1)
        assert f"status is '{words[0]}': there are Pending" in said


async def test_a_list_goes_on_where_it_ended(line: Line) -> None:
    for number in range(7):
        await line.start("wait", f"w-{number}", "Go")
    seen: list[str] = []
    continuation = ""
    while True:
        words = ("--continuation", continuation) if continuation else ()
        page = await line.json("list", "--limit", "3", *words)
        seen += [row["instance_id"] for row in page["instances"]]
        continuation = page["continuation"]
        if not continuation:
            break
    assert sorted(seen) == [f"w-{number}" for number in range(7)]

    told = await line.result("list", "--limit", "3", "-o", "jsonl")
    assert [json.loads(text)["instance_id"] for text in told.stdout.splitlines()] == seen[:3]
    assert told.stderr.startswith("redurable: there are more: --continuation rdq1.")
    assert (await line.result("list", "--all")).stderr == ""
    assert "no continuation of this list" in await line.run("list", "--continuation", "x", code=1)


async def test_many_are_ended_after_a_dry_run(line: Line) -> None:
    for number in range(4):
        await line.start("wait", f"w-{number}", "Go")
    await line.start("wait", "other", "Go")
    words = ("terminate", "--all", "--prefix", "w-")

    dry = await line.json(*words, "--dry-run")
    assert (dry["matched"], dry["done"], dry["dry_run"]) == (4, 0, True)
    assert {row["instance_id"] for row in dry["instances"]} == {f"w-{number}" for number in range(4)}
    assert (await line.run(*words, "--dry-run")).count("\nw-") == 4
    assert "no terminal to ask on" in await line.run(*words, code=2)

    done = await line.run(*words, "--yes", "--reason", "sold out", "-o", "jsonl")
    *each, total = [json.loads(text) for text in done.splitlines()]
    assert {row["instance_id"] for row in each} == {f"w-{number}" for number in range(4)}
    assert total == {"operation": "terminate", "matched": 4, "done": 4, "failed": 0, "dry_run": False}
    await ended(line, *(f"w-{number}" for number in range(4)))
    status = await line.client.get_status("w-0")
    assert (status.runtime_status, status.failure and status.failure.message) == ("Terminated", "sold out")
    assert await line.ids("--status", "Running", "--status", "Pending") == {"other"}

    assert "'suspend' is for instances that are" in await line.run(
        "suspend", "--all", "--status", "Failed", "--yes", code=1
    )
    assert (await line.json("purge", "--all", "--yes"))["done"] == 4
    assert await line.ids() == {"other"}


async def test_a_failed_one_is_rewound_restarted_and_reset(line: Line) -> None:
    await line.start("buy", "b-1", 7)
    await ended(line, "b-1")
    broken["pay"] = False
    assert "rewound" in await line.run("rewind", "b-1", "paid by hand")
    await ended(line, "b-1")
    assert json.loads(await line.run("result", "b-1")) == 7
    assert "only one that has failed can be rewound" in await line.run("rewind", "b-1", code=1)

    assert (await line.json("restart", "b-1"))["instance_id"] == "b-1"
    await ended(line, "b-1")
    assert (await line.json("restart", "b-1", "--new-id", "b-2"))["instance_id"] == "b-2"
    minted = (await line.json("restart", "b-1", "--as-new"))["instance_id"]
    await ended(line, "b-2", minted)
    assert await line.ids() == {"b-1", "b-2", minted}
    assert "'b-2' exists" in await line.run("restart", "b-1", "--new-id", "b-2", code=1)

    kinds = [event["type"] for event in await line.json("history", "b-2") if "Attempt" not in event["type"]]
    at = [kind for kind in kinds if kind != "ActivityStarted"].index("ActivityCompleted")
    await line.run("reset", "b-2", str(at), "once more")
    await ended(line, "b-2")
    assert "ExecutionReset" in await line.run("history", "b-2")
    assert (await line.json("restart", "--all", "--name", "buy", "--yes"))["done"] == 3


async def test_queues_and_reasons(line: Line) -> None:
    await line.start("wait", "w-1", "Go")
    await running(line, "w-1")
    (reason,) = await line.json("explain", "w-1")
    assert (reason["waits_for"], reason["what"], reason["blocked"]) == ("event", "external event 'Go'", False)
    assert reason["since"]
    assert "(turns)" in await line.run("queues")
    assert (await line.json("queues"))["open_instances"] == 1
    assert "no instance 'nobody'" in await line.run("explain", "nobody", code=1)


async def test_dead_letters_are_shown_sent_again_and_dropped(line: Line, server: Server) -> None:
    intake = (await line.run("key", "--intake")).strip()
    with server.client() as other:
        other.xadd(intake, {"event": "\x1b[2J", "nonsense": "1"})
        other.xadd(intake, {"terminate": "late", "instance": "w-1"})
    await until(lambda: _lie_there(line, 2), "both are dead letters")
    listed = await line.json("dead-letters", "list")
    by_instance = {letter["instance_id"]: letter["id"] for letter in listed}
    first, second = by_instance["w-1"], by_instance[""]
    behind = await line.json("dead-letters", "list", "--after", listed[0]["id"])
    assert [row["id"] for row in behind] == [listed[1]["id"]]
    assert len(await line.json("dead-letters", "list", "--limit", "1")) == 1
    assert (await line.json("dead-letters", "show", first))["fields"]["terminate"] == "late"
    assert "\x1b" not in await line.run("dead-letters", "show", second)

    await line.start("wait", "w-1", "Go")
    assert await line.json("dead-letters", "redrive", first) == {"redriven": 1, "left": 0}
    await ended(line, "w-1")
    assert await _is(line, "w-1", "Terminated")
    assert "name dead letters, or say --all" in await line.run("dead-letters", "drop", code=2)
    assert "is no id of a dead letter" in await line.run("dead-letters", "drop", "x", code=1)
    assert await line.json("dead-letters", "drop", "--all") == {"dropped": 1}
    assert await line.json("dead-letters", "list") == []
    assert "there is no dead letter" in await line.run("dead-letters", "show", first, code=1)


async def _lie_there(line: Line, count: int) -> bool:
    return len([letter async for letter in line.client.list_dead_letters()]) == count


async def test_an_instance_is_watched_until_it_ends(line: Line) -> None:
    await line.start("wait", "w-1", "Go")
    await running(line, "w-1")
    told: list[str] = []
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            told.append(await line.run("watch", "w-1", "-o", "jsonl"))

        group.start_soon(watch)
        await line.client.raise_event("w-1", "Go", 7)
    *events, end = [json.loads(text) for text in told[0].splitlines()]
    assert [event["type"] for event in events] == ["ExecutionStarted", "EventRaised", "ExecutionCompleted"]
    assert (end["runtime_status"], end["output"]) == ("Completed", 7)
    assert "EventRaised" in await line.run("watch", "w-1")
    assert "EventRaised" not in await line.run("watch", "w-1", "--from-now")
    await line.start("buy", "b-1", 7)
    assert "ValueError: no money" in await line.run("watch", "b-1", code=1)


CHANGED = """
from redurable import App, OrchestrationContext

app = App("manage")


@app.activity
async def pay(amount: int) -> int:
    return amount


@app.orchestrator
async def buy(ctx: OrchestrationContext, amount: int) -> int:
    await ctx.call_activity({first})
    return await ctx.call_activity(pay, amount)
"""


async def test_a_history_is_exported_and_replayed(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await line.start("buy", "b-1", 7)
    await ended(line, "b-1")
    await line.start("wait", "w-1", "Go")
    await running(line, "w-1")
    golden = tmp_path / "golden.jsonl"
    told = await line.json("history", "b-1", "--export", str(golden))
    assert (told["instance_id"], told["events"]) == ("b-1", 4)
    (tmp_path / "changed_buy.py").write_text(CHANGED.replace("{first}", "pay, 1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    here = f"{__name__}:app"

    for what in ("b-1", str(golden)):
        (same,) = await line.json("replay", here, what)
        assert (same["instance_id"], same["name"], same["verdict"]) == ("b-1", "buy", "same")
        said = await line.result("replay", "changed_buy:app", what, "-o", "json")
        (differs,) = json.loads(said.stdout)
        assert (said.exit_code, differs["verdict"], differs["position"]) == (1, "differs", 1)
        assert "the code asked for ScheduleActivity" in differs["difference"]
        assert "changed_buy.py:14" in differs["difference"]
    assert "holds no execution 'x'" in await line.run("replay", here, str(golden), "--execution", "x", code=1)
    both = await line.json("replay", here, "--all")
    assert {(row["instance_id"], row["verdict"]) for row in both} == {("b-1", "same"), ("w-1", "same")}
    assert "registers no orchestrator 'wait'" in await line.run("replay", "changed_buy:app", "w-1", code=1)

    assert replay_history(app, golden) == 1
    changed = importlib.import_module("changed_buy")
    with pytest.raises(NondeterminismError, match=r"event 1 of the history is ActivityScheduled"):
        replay_history(changed.app, str(golden))
    with pytest.raises(UnknownFunction, match="registers no orchestrator 'buy', which instance 'b-1' runs"):
        replay_history(App("other"), golden)
    golden.write_text("{}\n")
    assert "line 1 holds no events of a history" in await line.run("replay", here, str(golden), code=1)
    assert "cannot be written" in await line.run("history", "b-1", "--export", "/nowhere/x", code=2)
    sys.modules.pop("changed_buy")
