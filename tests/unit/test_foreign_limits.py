"""Entries of foreign clients that are too large: refused with a reason, and not repeated in full by a dead letter."""

from __future__ import annotations

import pytest

from redurable.core.foreign import Intake, malformed, read_answer, read_intake, read_mail
from redurable.core.messages import Malformed, RaiseEvent
from redurable.core.sizes import brief, call_size, tags_size
from redurable.core.values import Arguments
from redurable.settings import MAX_PAYLOAD_BYTES, PayloadSettings, WorkerSettings
from tests.support.story import raw

LIMIT = 1_000
BESIDE = 4_096

Fields = dict[bytes, bytes]


def json_of(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


AT_LIMIT, OVER = json_of(LIMIT), json_of(LIMIT + 1)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({b"complete": b"1-1", b"result": OVER}, "field 'result': 1,001 bytes of payload"),
        ({b"fail": b"1-1", b"message": b"x" * 900, b"stack": b"x" * 101}, "'message' and 'stack': 1,001 bytes of text"),
        ({b"heartbeat": b"1-1", b"details": OVER}, "field 'details': 1,001 bytes of payload"),
        ({b"complete": b"1" * 257}, "task name '111"),
        ({b"refuse": b"1-1", b"worker": b"\xff"}, "field 'worker' is not UTF-8"),
        ({b"refuse": b"1-1", b"worker": b""}, "worker name '' has 0 bytes"),
        ({b"refuse": b"1-1", b"queue": b""}, "task queue name '' has 0 bytes"),
        ({b"fail": b"1-1", b"error": b""}, "error name '' has 0 bytes"),
        ({b"fail": b"1-1", b"retry-after": b"315360000001"}, "send milliseconds, at most 315360000000"),
    ],
)
def test_answers_have_the_same_limits(fields: Fields, what: str) -> None:
    read = read_answer({b"queue": b"q", b"worker": b"w", **fields}, LIMIT)
    assert isinstance(read, Malformed)
    assert what in read.reason


def test_the_limit_is_one_mebibyte_unless_the_environment_says_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PayloadSettings().max_payload_bytes == MAX_PAYLOAD_BYTES == 1_048_576
    monkeypatch.setenv("REDURABLE_MAX_PAYLOAD_BYTES", "2000000")
    assert PayloadSettings().max_payload_bytes == 2_000_000
    assert WorkerSettings().max_turn_bytes == 67_108_864
    monkeypatch.setenv("REDURABLE_MAX_TURN_BYTES", "3000000")
    assert WorkerSettings().max_turn_bytes == 3_000_000


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({b"event": b"E", b"data": OVER}, "field 'data': 1,001 bytes of payload"),
        ({b"terminate": OVER}, "field 'terminate': 1,001 bytes of text"),
        ({b"start": b"P", b"input": OVER}, "field 'input': 1,001 bytes of payload"),
        ({b"start": b"P", b"args": b"[" + AT_LIMIT + b"]"}, "fields 'args' and 'kwargs': 1,004 bytes of payload"),
        (
            {b"start": b"P", b"args": b"[" + json_of(500) + b"]", b"kwargs": b'{"a":' + json_of(495) + b"}"},
            "fields 'args' and 'kwargs': 1,003 bytes of payload",
        ),
        ({b"start": b"P", b"tags": b'{"a":' + OVER + b"}"}, "field 'tags': 1,007 bytes of tags"),
        ({b"start": b"P", b"memo": OVER}, "field 'memo': 1,001 bytes of payload"),
    ],
)
def test_what_is_too_large_is_named(fields: Fields, what: str) -> None:
    fields = {b"instance": b"order-42", **fields}
    readings: list[object] = [read_intake("5-0", fields, LIMIT)]
    if b"start" not in fields:
        readings.append(read_mail(fields, LIMIT))
    for read in readings:
        assert isinstance(read, Malformed)
        assert what in read.reason
        assert "are more than max_payload_bytes (REDURABLE_MAX_PAYLOAD_BYTES) allows, 1,000:" in read.reason
        kept = dict(read.fields)
        assert kept[b"instance"] == b"order-42"
        assert all(len(value) <= LIMIT for value in kept.values())


def test_the_limit_itself_is_accepted() -> None:
    event = {b"event": b"E", b"data": AT_LIMIT}
    assert read_mail(event, LIMIT) == RaiseEvent(name="E", data=raw(AT_LIMIT.decode()))
    started = read_intake("5-0", {b"start": b"P", b"instance": b"o", b"input": AT_LIMIT}, LIMIT)
    assert isinstance(started, Intake)


def test_what_redurable_wrote_itself_was_measured_by_its_sender() -> None:
    """A client with a higher limit has been told that its event is accepted."""
    own = {b"m": b'{"type":"RaiseEvent","name":"E","data":' + OVER + b"}"}
    assert read_mail(own, LIMIT) == RaiseEvent(name="E", data=raw(OVER.decode()))


def test_a_dead_letter_repeats_the_beginning_and_says_how_much_is_left_out() -> None:
    read = read_mail({b"event": b"E", b"data": json_of(5_000), b"id": b"e-1"}, LIMIT)
    assert isinstance(read, Malformed)
    assert dict(read.fields) == {b"event": b"E", b"data": json_of(5_000)[:LIMIT], b"id": b"e-1"}
    assert read.reason.endswith("(4,000 bytes of its fields are left out here)")


@pytest.mark.parametrize(
    "fields",
    [
        {b"junk": b"x" * 1_000_000},
        {b"f%d" % number: b"x" * 900 for number in range(1_000)},
        {b"n" * 1_000_000: b"x"},
        {b"m": b"{" + b"x" * 1_000_000},
    ],
    ids=["one value", "many values", "a name", "a message"],
)
def test_no_dead_letter_is_much_larger_than_the_limit(fields: Fields) -> None:
    read = read_mail(fields, LIMIT)
    assert isinstance(read, Malformed)
    assert sum(len(name) + len(value) for name, value in read.fields) <= LIMIT + BESIDE
    assert "bytes of its fields are left out here" in read.reason
    assert len(read.reason) < 1_000


def test_what_fits_is_repeated_whole() -> None:
    fields = {b"event": b"E", b"data": b"{" + b"x" * (LIMIT - 1), b"other": b"y" * 500}
    read = malformed("why", fields, LIMIT)
    assert (read.reason, dict(read.fields)) == ("why", fields)
    assert brief([], LIMIT) == ((), "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({b"event": b"E", b"id": b"i" * 257}, "event id 'i+…' has 257 bytes: use at most 256"),
        ({b"start": b"P", b"id": b"i" * 257}, "start id 'i+…' has 257 bytes"),
        ({b"event": b"E", b"data": b'"\xff"'}, "field 'data' is not UTF-8"),
        ({b"start": b"P", b"kwargs": b'{"a":"\xff"}'}, "field 'kwargs' is not UTF-8"),
    ],
)
def test_ids_and_texts_that_could_not_be_shown_or_kept(fields: Fields, why: str) -> None:
    read = read_intake("5-0", {b"instance": b"o", **fields}, LIMIT)
    assert isinstance(read, Malformed)
    assert why.partition("+")[0] in read.reason
    assert why.rpartition("…")[2] in read.reason


def test_sizes_count_bytes_and_all_arguments() -> None:
    assert call_size(Arguments()) == 0
    assert call_size(Arguments(input=raw('"é"'))) == 4
    assert call_size(Arguments(args=(raw("1"), raw("22")), kwargs={"key": raw("333")})) == 9
    assert tags_size({"é": "12"}) == 4


def test_what_is_nested_too_deep_is_refused_on_every_python() -> None:
    deepest = b'{"a":' * 100 + b"[" * 100 + b"]" * 100 + b"}" * 100
    wide = b"[" + b",".join([b"[]"] * 1_000) + b"]"
    quoted = b'["' + b'[{\\"' * 1_000 + b'"]'
    for payload in (deepest, wide, quoted):
        assert isinstance(read_mail({b"event": b"E", b"data": payload}), RaiseEvent), payload[:80]
    over = b"[" + deepest + b"]"
    for fields in ({b"event": b"E", b"data": over}, {b"event": b"E", b"data": b"[" * 100_000}):
        read = read_mail(fields)
        assert isinstance(read, Malformed)
        assert read.reason.startswith("field 'data' is nested deeper than 200 arrays and objects")
    for field in (b"input", b"args", b"kwargs"):
        read = read_intake("5-0", {b"instance": b"order-42", b"start": b"P", field: over})
        assert isinstance(read, Malformed)
        assert f"field {field.decode()!r} is nested deeper than 200" in read.reason


def test_brackets_in_a_string_that_never_ends_are_read_once() -> None:
    """A reader that looked for the string's end anew at each quotation mark would take hours."""
    read = read_mail({b"event": b"E", b"data": b'"' + b'\\"[' * 300_000})
    assert isinstance(read, Malformed)
    assert "field 'data' is not JSON" in read.reason
