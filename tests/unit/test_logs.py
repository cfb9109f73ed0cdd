"""Log lines: both formats, whose code wrote a line, and what may stand in it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from redurable import App, OrchestrationContext
from redurable.authoring.activity_context import ActivityContext
from redurable.telemetry.logs import JsonFormatter, RunFilter, TextFormatter
from redurable.testing import environment
from tests.support.app_story import AppStory, event

app = App("logging")
log = logging.getLogger("tests.shop")


class Lines:
    """A handler's output."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(formatter)
        self.handler.addFilter(RunFilter())

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def said(self) -> list[str]:
        return [found["message"] for found in self.objects]


@pytest.fixture
def lines() -> Iterator[Lines]:
    yield from _installed(Lines(JsonFormatter({"hub": "shop", "worker": "w1"})))


@pytest.fixture
def text() -> Iterator[Lines]:
    yield from _installed(Lines(TextFormatter()))


def _installed(lines: Lines) -> Iterator[Lines]:
    before = log.level
    log.addHandler(lines.handler)
    log.setLevel(logging.DEBUG)
    yield lines
    log.removeHandler(lines.handler)
    log.setLevel(before)


@app.activity
async def speaks(word: str) -> None:
    log.info("async %s", word)


@app.activity
def speaks_in_a_thread(word: str) -> None:
    log.info("thread %s", word)


@app.orchestrator
async def tells(ctx: OrchestrationContext) -> None:
    log.info("begins")
    await ctx.call_activity(speaks, "word")
    log.info("goes on")
    await ctx.call_activity(speaks_in_a_thread, "word")
    ctx.get_logger("tests.shop").info("ends")


@app.orchestrator
async def waits(ctx: OrchestrationContext) -> None:
    log.info("first")
    await ctx.wait_for_external_event("Next")
    log.info("second")


async def test_lines_of_user_code_say_whose_they_are(lines: Lines) -> None:
    async with environment(app) as env:
        handle = await env.client.start(tells, instance_id="one")
        await env.run_until_idle()
        await handle.result()
    assert lines.said() == ["begins", "async word", "goes on", "thread word", "ends"]
    assert {found["instance_id"] for found in lines.objects} == {"one"}
    assert len({found["execution"] for found in lines.objects}) == 1
    assert [found.get("orchestrator") for found in lines.objects] == ["tells", None, "tells", None, "tells"]
    assert [found.get("activity") for found in lines.objects] == [None, "speaks", None, "speaks_in_a_thread", None]
    assert [found.get("attempt") for found in lines.objects] == [None, 1, None, 1, None]
    assert all((found["hub"], found["worker"], found["level"]) == ("shop", "w1", "INFO") for found in lines.objects)
    assert all(found["timestamp"].endswith("+00:00") for found in lines.objects)


def test_any_logger_is_silent_while_an_orchestrator_replays(lines: Lines) -> None:
    story = AppStory(waits)
    story.turn()
    story.forget()
    story.turn(event("Next"))
    # A story takes every turn twice, cold and warm, to compare them: each writes its new lines, and no old ones.
    assert lines.said() == ["first", "first", "second", "second"]


def test_what_is_logged_elsewhere_has_no_instance(lines: Lines) -> None:
    log.warning("plain", extra={"sum": 3, "level": "mine", "order": {"id": 7}})
    (found,) = lines.objects
    assert {"instance_id", "trace_id", "attempt"}.isdisjoint(found)
    assert (found["sum"], found["order"], found["level"], found["extra_level"]) == (3, {"id": 7}, "WARNING", "mine")


def test_errors_and_stacks_are_in_the_line(lines: Lines) -> None:
    try:
        raise ValueError("no\nsuch order")
    except ValueError:
        log.exception("failed", stack_info=True)
    (found,) = lines.objects
    assert found["exception"].startswith("Traceback")
    assert found["exception"].endswith("ValueError: no\nsuch order")
    assert "test_errors_and_stacks" in found["stack"]


def test_extras_named_like_a_traceback_lose_neither(lines: Lines) -> None:
    try:
        raise ValueError("no such order")
    except ValueError:
        log.exception("failed", extra={"exception": "mine", "stack": "mine, too"}, stack_info=True)
    (found,) = lines.objects
    assert (found["extra_exception"], found["extra_stack"]) == ("mine", "mine, too")
    assert found["exception"].endswith("ValueError: no such order")


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Odd(),
        {1: 2, (1, 2): 3},
        b"\xff",
        {"self": [object()]},
        "\ud800",
        2**70,
        pytest.param(10**5000, id="digits"),
        None,
        True,
    ],
)
def test_whatever_is_logged_is_one_line_of_json(lines: Lines, value: object) -> None:
    log.info("odd", extra={"value": value, "number": 3})
    endless: list[Any] = []
    endless.append(endless)
    log.info("endless", extra={"value": endless})
    first, second = lines.objects
    assert (first["message"], first["number"], second["message"]) == ("odd", 3, "endless")
    assert {"value"} <= set(first)


def test_arguments_that_do_not_fit_do_not_lose_the_line() -> None:
    record = logging.makeLogRecord({"msg": "%d of %d", "args": ("one",)})
    assert json.loads(JsonFormatter().format(record))["message"].startswith("%d of %d (('one',): ")


FOREIGN = "a\nb\r\n\x1b[31mred\x9b2J\u2028c\x7f\x00\ud800"


def test_foreign_text_neither_begins_a_line_nor_steers_a_terminal(
    lines: Lines, text: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "propagate", False)  # A parallel test run cannot report a lone surrogate.
    context = ActivityContext(instance_id="i", execution="x", attempt=2, idempotency_key="k", name="pay")
    with context.active():
        log.info("said: %s", FOREIGN)
    assert lines.text.isascii()
    assert len(lines.text.splitlines()) == 1
    assert lines.said() == [f"said: {FOREIGN}"]
    first, *more = text.text.split("\n")
    assert first.endswith("tests.shop: said: a")
    assert more == ["    b\\u000d", "    \\u001b[31mred\\u009b2J\\u2028c\\u007f\\u0000\\ud800 [pay attempt 2 of i]", ""]


def test_the_trace_is_in_the_line_with_opentelemetry_and_without(lines: Lines) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    context = ActivityContext(
        instance_id="i", execution="x", attempt=1, idempotency_key="k", traceparent=f"00-{trace}-b7ad6b7169203331-01"
    )
    with context.active():
        log.info("handed on")
    with TracerProvider().get_tracer("tests").start_as_current_span("mine") as span:
        log.info("current")
    handed, current = lines.objects
    made = span.get_span_context()
    assert (handed["trace_id"], "span_id" in handed) == (trace, False)
    assert (current["trace_id"], current["span_id"]) == (f"{made.trace_id:032x}", f"{made.span_id:016x}")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_process_logs_to_stderr_in_the_format_that_was_asked_for(style: str) -> None:
    code = (
        "import logging; from redurable.telemetry.logs import log_to_stderr\n"
        f"log_to_stderr('WARNING', {style!r}, {{'hub': 'shop'}})\n"
        "logging.getLogger('any').info('no'); logging.getLogger('any').warning('yes')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    if style == "json":
        assert json.loads(line).items() >= {"message": "yes", "hub": "shop", "logger": "any"}.items()
    else:
        assert line.endswith("WARNING any: yes")
