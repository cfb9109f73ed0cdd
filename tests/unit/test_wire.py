"""The wire form: decode of encode is identity, versions are checked, foreign entries are read or explained."""

from __future__ import annotations

import pytest

from redurable.core import codec
from redurable.core.codec import Unreadable, decode_event, decode_message, decode_start, decode_task, encode
from redurable.core.events import ActivityFailed, ExecutionStarted
from redurable.core.foreign import Intake, read_answer, read_intake, read_mail
from redurable.core.messages import (
    ActivityResult,
    KeptEvent,
    Malformed,
    RaiseEvent,
    Resume,
    StartExecution,
    Suspend,
    Terminate,
)
from redurable.core.values import ActivityOptions, Arguments, Failure, Parent, Retry, Task
from tests.support.story import raw

BIG = '{"n":123456789012345678901234567890,"list":[],"text":"ü\\u0000"}'


def test_values_survive_and_payloads_stay_as_they_are() -> None:
    call = Arguments(args=(raw(BIG), raw("[]")), kwargs={"k": raw("1.50")})
    start = StartExecution(
        name="P", execution="x", call=call, parent=Parent("p", "px", 3), tags={"a": "b"}, kept_events=(KeptEvent("e"),)
    )
    assert decode_start(encode(start)) == start
    assert BIG.encode() in encode(start)
    task = Task("i", "x", 4, "A", call, ActivityOptions("q", Retry(max_attempts=9, non_retryable=("E",))), attempt=2)
    assert decode_task(encode(task)) == task
    event = ActivityFailed(at=5, seq=1, failure=Failure("T", "m", cause=Failure("C", "n")), commit="h")
    assert decode_event(encode(event)) == event
    message = ActivityResult(execution="x", seq=2, result=raw(BIG), attempts=3)
    assert decode_message(encode(message)) == message


def test_defaults_are_not_written_and_unknown_fields_are_ignored() -> None:
    assert encode(Suspend()) == b'{"type":"Suspend"}'
    assert decode_message(b'{"type":"Suspend","new":{"x":1}}') == Suspend()
    started = decode_event(b'{"type":"ExecutionStarted","at":1,"name":"P","execution":"x","later":[1]}')
    assert started == ExecutionStarted(at=1, name="P", execution="x")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"type":"Suspend","v":2}', "wire version 2"),
        (b'{"type":"Strange"}', "Strange"),
        (b"\xff", "\\xff"),
        (b"[]", "Expected `object`"),
        (b'{"type":"RaiseEvent","name":"e","data":' + b"[" * 100_000, "recursion"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said.replace("\\", "\\\\")):
        decode_message(data)


def test_versions_are_written_only_when_they_are_not_the_first() -> None:
    assert codec.WIRE_VERSION == 1
    assert b'"v"' not in encode(RaiseEvent(name="e"))


def test_foreign_mail() -> None:
    assert read_mail({b"event": b"Approval", b"data": b"true", b"id": b"a1"}) == RaiseEvent(
        name="Approval", data=raw("true"), id="a1"
    )
    assert read_mail({b"event": b"Bare"}) == RaiseEvent(name="Bare")
    assert read_mail({b"terminate": b"no stock", b"instance": b"ignored"}) == Terminate(reason="no stock")
    assert read_mail({b"suspend": b""}) == Suspend()
    assert read_mail({b"resume": b"go"}) == Resume(reason="go")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({b"event": b"A", b"data": b"tru"}, "field 'data' is not JSON"),
        ({b"event": b"A", b"data": b"1 2"}, "field 'data' is not JSON"),
        ({b"event": b"\xff"}, "field 'event' is not UTF-8"),
        ({b"event": b""}, "event name"),
        ({b"hello": b"x", b"you": b"y"}, "fields [hello, you]"),
        ({b"event": b"A", b"terminate": b"x"}, "exactly one of"),
        ({b"m": b"{"}, "truncated"),
        ({b"event": b"A", b"data": b"[" * 100_000}, "field 'data' is nested deeper than 200"),
        ({}, "exactly one of"),
    ],
)
def test_foreign_mail_that_cannot_be_read_keeps_its_fields(fields: dict[bytes, bytes], said: str) -> None:
    read = read_mail(fields)
    assert isinstance(read, Malformed)
    assert said in read.reason
    assert dict(read.fields) == fields


def test_intake_starts() -> None:
    one = read_intake("5-0", {b"start": b"P", b"instance": b"o", b"input": b"{}", b"id": b"s-1"})
    assert one == Intake("o", StartExecution(name="P", execution="s-1", call=Arguments(input=raw("{}"))))
    many = read_intake("5-0", {b"start": b"P", b"instance": b"o", b"args": b"[1,[]]", b"kwargs": b'{"a":2}'})
    call = Arguments(args=(raw("1"), raw("[]")), kwargs={"a": raw("2")})
    assert many == Intake("o", StartExecution(name="P", execution="intake:5-0", call=call))
    none = read_intake("5-1", {b"start": b"P", b"instance": b"o"})
    assert none == Intake("o", StartExecution(name="P", execution="intake:5-1"))


def test_intake_events_get_an_id_so_that_reading_twice_raises_once() -> None:
    read = read_intake("7-2", {b"instance": b"o", b"event": b"E"})
    assert read == Intake("o", RaiseEvent(name="E", id="intake:7-2"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({b"event": b"E"}, "no field 'instance'"),
        ({b"event": b"E", b"instance": b"a\nb"}, "control characters"),
        ({b"event": b"E", b"instance": b"x" * 257}, "257 bytes"),
        ({b"start": b"P", b"instance": b"o", b"input": b"{}", b"args": b"[]"}, "exclude each other"),
        ({b"start": b"P", b"instance": b"o", b"args": b"{}"}, "not a JSON array"),
        ({b"start": b"P", b"instance": b"o", b"event": b"E", b"data": b"1"}, "exactly one of start, event"),
        ({b"start": b"P", b"instance": b"o", b"terminate": b"no stock"}, "exactly one of start, event"),
        ({b"begin": b"P", b"instance": b"o"}, "exactly one of start, event"),
    ],
)
def test_intake_entries_that_cannot_be_read(fields: dict[bytes, bytes], said: str) -> None:
    read = read_intake("1-0", fields)
    assert isinstance(read, Malformed)
    assert said in read.reason


@pytest.mark.parametrize("name", [b"event", b"data", b"unknown"])
def test_what_stands_there_twice_is_read_by_nobody(name: bytes) -> None:
    """One of the two would be lost, and nobody told."""
    entry = ((b"instance", b"o"), (b"event", b"A"), (b"data", b"1"), (b"unknown", b"x"), (name, b"2"))
    for read in (read_mail(entry), read_intake("1-0", entry), read_answer(entry)):
        assert read == Malformed(
            f"field {name.decode()!r} stands there more than once: send an entry for each, or say it once", entry
        )


def test_a_field_that_stands_twice_among_very_many_is_found_soon() -> None:
    """Whoever may write to the intake could hold up its reader for minutes otherwise."""
    many = tuple((b"%d" % number, b"") for number in range(200_000))
    read = read_intake("1-0", ((b"instance", b"o"), *many, (b"instance", b"o")), 1_000)
    assert isinstance(read, Malformed)
    assert read.reason.startswith("field 'instance' stands there more than once")


def test_an_answer_about_a_task_that_is_no_text_names_its_field() -> None:
    read = read_answer({b"complete": b"\xff", b"queue": b"q", b"worker": b"w"})
    assert isinstance(read, Malformed)
    assert read.reason == "field 'complete' is not UTF-8: b'\\xff'"
