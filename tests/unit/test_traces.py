"""Trace contexts: what other programs may say, and how a context goes on."""

from __future__ import annotations

import pytest

from redurable.core.foreign import Intake, read_intake, read_mail
from redurable.core.messages import RaiseEvent, StartExecution
from redurable.core.traces import below, continued, read_trace, span_id
from redurable.core.values import Trace

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_context_is_read_as_the_recommendation_says() -> None:
    assert read_trace(PARENT, "rojo=00f067aa0ba902b7,congo=t61") == Trace(PARENT, "rojo=00f067aa0ba902b7,congo=t61")
    assert read_trace(f"cc-{TRACE}-b7ad6b7169203331-01-what-comes-later") == Trace(PARENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        PARENT.upper(),
        PARENT + "-more",
        PARENT + "\n",
        PARENT[:-1],
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        PARENT * 1000,
    ],
)
def test_what_is_no_context_is_none(text: str) -> None:
    assert read_trace(text) is None


@pytest.mark.parametrize("state", ["a" * 513, "a=1\r\nx: y", "a=é"])
def test_a_state_that_is_none_is_left_out(state: str) -> None:
    assert read_trace(PARENT, state) == Trace(PARENT)


def test_the_span_of_an_execution_is_always_the_same_and_belongs_to_the_trace() -> None:
    trace = Trace(PARENT, "a=1")
    own = below(trace, span_id("x1"))
    assert (own.trace_id, own.span, own.tracestate) == (TRACE, span_id("x1"), "a=1")
    assert own.traceparent[52:] == "-01"
    assert span_id("x1") != span_id("x1", 1) != span_id("x2", 1)


def test_the_next_execution_belongs_below_the_same_span_and_follows_this_one() -> None:
    following = continued(continued(Trace(PARENT), "x1"), "x2")
    assert following == Trace(PARENT, link=span_id("x2"))
    assert continued(None, "x1") is None


def test_the_intake_takes_contexts() -> None:
    fields = {b"instance": b"one", b"traceparent": PARENT.encode(), b"tracestate": b"a=1"}
    start = read_intake("1-0", {**fields, b"start": b"Demo"})
    assert isinstance(start, Intake)
    assert isinstance(start.message, StartExecution)
    assert start.message.trace == Trace(PARENT, "a=1")
    event = read_intake("1-0", {**fields, b"event": b"Go"})
    assert isinstance(event, Intake)
    assert isinstance(event.message, RaiseEvent)
    assert event.message.trace == Trace(PARENT, "a=1")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"", b"rubbish"])
def test_a_context_that_cannot_be_read_is_no_reason_to_refuse_the_work(text: bytes) -> None:
    message = read_mail({b"event": b"Go", b"traceparent": text, b"tracestate": text})
    assert isinstance(message, RaiseEvent)
    assert message.trace is None
