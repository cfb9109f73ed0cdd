"""Many instances on the command line: pages that are empty, instances on which it fails, and what is asked before."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from redurable import BulkProgress, Page, Status
from redurable.cli import many as many_module
from redurable.cli.listing import list_
from redurable.cli.many import operate
from redurable.cli.options import ManyOptions, moment
from redurable.cli.output import Output

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def status(instance: str) -> Status:
    return Status(
        instance_id=instance,
        name="buy",
        runtime_status="Running",  # pyright: ignore[reportArgumentType]
        created_at=NOW,
        last_updated_at=NOW,
        execution="x",
    )


class Hub:
    """What the commands need of a target and of its client: pages and steps that a test has made up."""

    hub = "orders"

    def __init__(
        self, output: Output, pages: list[Page] | None = None, steps: list[BulkProgress] | None = None
    ) -> None:
        self.output = output
        self.pages = pages or []
        self.steps = steps or []
        self.asked: list[tuple[Any, ...]] = []

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Hub]:
        yield self

    async def list_page(self, *, limit: int, continuation: str, **filters: Any) -> Page:
        self.asked.append((limit, continuation, filters))
        return self.pages[len(self.asked) - 1]

    async def bulk(
        self, operation: str, *, reason: str = "", dry_run: bool = False, **filters: Any
    ) -> AsyncIterator[BulkProgress]:
        self.asked.append((operation, reason, dry_run, filters))
        for step in self.steps:
            yield step


PAGES = [Page((), "c1"), Page((status("a"), status("b")), "c2"), Page((), "c3"), Page((status("c"),), "")]
STEPS = [BulkProgress(1, 1, 0, "a"), BulkProgress(2, 1, 1, "b", "no\nroom"), BulkProgress(2, 1, 1)]


async def test_empty_pages_do_not_end_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    for whole in (True, False):
        hub: Any = Hub(Output.JSON, PAGES)
        await list_(hub, name=["buy"], all_=whole)
        told = json.loads(capsys.readouterr().out)
        assert [row["instance_id"] for row in told["instances"]] == ["a", "b", "c"]
        assert told["continuation"] == ""
        assert [asked[0] for asked in hub.asked] == ([1_000] * 4 if whole else [100, 100, 98, 98])
        assert hub.asked[0][2] == {"name": ["buy"]}


async def test_a_limit_is_kept_over_pages_and_the_rest_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    hub: Any = Hub(Output.TABLE, PAGES)
    await list_(hub, limit=2, continuation="c0")
    told = capsys.readouterr()
    assert [line.split()[0] for line in told.out.splitlines()] == ["instance_id", "a", "b"]
    assert told.err == "redurable: there are more: --continuation c2\n"
    assert [asked[:2] for asked in hub.asked] == [(2, "c0"), (2, "c1")]


@pytest.mark.parametrize("output", list(Output))
async def test_what_failed_on_some_is_told_with_their_ids(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    hub: Any = Hub(output, steps=STEPS)
    with pytest.raises(typer.Exit) as ended:
        await operate(hub, "rewind", ManyOptions(all_=True, yes=True, status=["failed"]), "why")
    assert ended.value.exit_code == 1
    assert hub.asked == [("rewind", "why", False, {"status": ["Failed"]})]
    told = capsys.readouterr().out
    match output:
        case Output.TABLE:
            assert told.splitlines()[1] == "b            no room"
            assert "failed     1" in told
        case Output.JSON:
            assert json.loads(told)["instances"] == [{"instance_id": "b", "error": "no\nroom"}]
        case Output.JSONL:
            lines = [json.loads(line) for line in told.splitlines()]
            assert [line.get("instance_id") for line in lines] == ["a", "b", None]


async def test_whoever_says_no_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(question: str) -> None:
        assert question == "Purge 2 instances of hub 'orders'?"
        raise typer.Abort

    monkeypatch.setattr(many_module, "check_terminal", lambda: None)
    monkeypatch.setattr(many_module, "agree", refuse)
    hub: Any = Hub(Output.TABLE, steps=STEPS)
    with pytest.raises(typer.Abort):
        await operate(hub, "purge", ManyOptions(all_=True))
    assert [asked[2] for asked in hub.asked] == [True]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-03-01", NOW),
        ("2026-03-01T00:00:00Z", NOW),
        ("2026-03-01T02:00+02:00", NOW),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(text: str, meant: datetime) -> None:
    assert moment(text, "--created-from") == meant


@pytest.mark.parametrize(("text", "ago"), [("90m", timedelta(minutes=90)), ("2w", timedelta(weeks=2))])
def test_a_moment_may_be_how_long_ago_it_was(text: str, ago: timedelta) -> None:
    assert abs(datetime.now(UTC) - ago - moment(text, "--created-from")) < timedelta(minutes=1)
