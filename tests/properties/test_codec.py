"""What is written is what is read, for every type that crosses the wire and every payload."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from redurable.core.codec import Unreadable, decode_event, decode_message, decode_start, decode_task, encode
from redurable.core.completion import Completion
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.events import Event
from redurable.core.foreign import INTERNAL, Intake, read_intake, read_mail
from redurable.core.messages import (
    Malformed,
    Message,
    RaiseEvent,
    Resume,
    StartExecution,
    SubOrchestrationFailure,
    Suspend,
    Terminate,
)
from redurable.core.tokens import Token, read_token, write_token
from redurable.core.values import Arguments, Task
from redurable.store.memory import letters
from redurable.store.memory.state import read_timer_member as read_memory_member
from redurable.store.memory.state import timer_member as memory_member
from redurable.store.redis import wire
from tests.properties.bounds import tried
from tests.properties.wire_values import TEXT, payloads, values

READERS: list[tuple[type[Any], Any]] = [
    *[(kind, decode_message) for kind in get_args(Message)],
    *[(kind, decode_event) for kind in get_args(Event)],
    (StartExecution, decode_start),
    (Task, decode_task),
]


@pytest.mark.parametrize(("kind", "decode"), READERS, ids=lambda value: getattr(value, "__name__", ""))
def test_decoding_undoes_encoding(kind: type[Any], decode: Any) -> None:
    @tried(25)
    @given(values(kind))
    def check(value: Any) -> None:
        body = encode(value)
        read = decode(body)
        assert type(read) is kind
        assert read == value
        assert encode(read) == body

    check()


fields = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5).map(tuple)
parcels = st.one_of(
    st.builds(Outgoing, TEXT, values(Message)),
    st.builds(Outgoing, TEXT, values(StartExecution), st.none() | st.tuples(TEXT, values(SubOrchestrationFailure))),
    st.builds(DeadLetter, TEXT, TEXT, fields),
)


@tried(200)
@given(parcels)
def test_what_lies_in_an_outbox_is_what_was_put_there(parcel: Outgoing | DeadLetter) -> None:
    flat = [part if isinstance(part, bytes) else part.encode() for part in wire.outbox_fields(parcel)]
    assert wire.read_outbox(wire.fields_of(flat)) == parcel
    assert letters.read_outbox(letters.outbox_fields(parcel)) == parcel


@tried(100)
@given(st.sampled_from(["t", "u", "r", "c", "s"]), TEXT, st.integers(0, 2**53) | TEXT, TEXT)
def test_both_stores_write_and_read_the_same_timer_members(
    kind: wire.TimerKind, execution: str, key: int | str, instance: str
) -> None:
    member = wire.timer_member(kind, execution, key, instance)
    assert member == memory_member(kind, execution, key, instance)
    assert wire.read_timer_member(member) == read_memory_member(member) == (kind, execution, key, instance)


NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@tried(200)
@given(NAME, payloads, TEXT, NAME)
def test_what_a_foreign_client_writes_is_read_as_it_is_meant(name: str, data: Raw, id: str, instance: str) -> None:  # noqa: A002
    event = {b"event": name.encode(), b"data": bytes(data), b"id": id.encode()}
    assert read_mail(event) == RaiseEvent(name=name, data=data, id=id)
    assert read_intake("1-1", event | {b"instance": instance.encode()}) == Intake(
        instance, RaiseEvent(name=name, data=data, id=id or "intake:1-1")
    )
    start = {b"start": name.encode(), b"input": bytes(data), b"id": id.encode(), b"instance": instance.encode()}
    assert read_intake("1-1", start) == Intake(
        instance, StartExecution(name=name, execution=id or "intake:1-1", call=Arguments(input=data))
    )
    for field, kind in ((b"terminate", Terminate), (b"suspend", Suspend), (b"resume", Resume)):
        assert read_mail({field: id.encode()}) == kind(reason=id)


_names = st.sampled_from([b"event", b"data", b"id", b"m", b"terminate", b"suspend", b"resume", b"instance", b"start",
                          b"input", b"args", b"kwargs", b"complete", b"fail", b"result", b"error"])  # fmt: skip
_quoted = st.binary(max_size=5).map(lambda text: b'"' + text + b'"')
_token = write_token(Token("orders", "one", "x1", 1, 1, "default", "1-1")).encode()
_texts = TEXT.map(str.encode) | st.just(_token)
_bodies = st.one_of(st.binary(max_size=40), _quoted, payloads.map(bytes), values(Message).map(encode), _texts)


@tried(400)
@given(st.dictionaries(_names | st.binary(max_size=5), _bodies, max_size=5))
def test_whatever_a_foreign_client_writes_is_a_message_or_malformed(fields: dict[bytes, bytes]) -> None:
    """Nothing raises, and what was accepted can be written and read again, by any reader of JSON."""
    mail = read_mail(fields)
    if isinstance(mail, Malformed):
        assert (mail.fields, bool(mail.reason)) == (tuple(fields.items()), True)
    else:
        assert decode_message(encode(mail)) == mail
        assert INTERNAL in fields or encode(mail).decode()
    intake = read_intake("1-1", fields)
    if isinstance(intake, Malformed):
        assert intake.fields == tuple(fields.items())
    elif isinstance(intake, Completion):
        assert read_token(write_token(intake.token)) == intake.token
    elif isinstance(intake.message, StartExecution):
        assert decode_start(encode(intake.message)) == intake.message
    else:
        assert decode_message(encode(intake.message)) == intake.message


_anything = values(Message | Event | StartExecution | Task)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """The wire form of something, with some bytes replaced, inserted or cut off."""
    body = encode(draw(_anything))
    first, last = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    return body[:first] + draw(st.binary(max_size=6)) + body[last:]


@tried(400)
@given(spoiled())
def test_spoiled_bytes_are_read_or_called_unreadable(body: bytes) -> None:
    for decode in (decode_message, decode_event, decode_start, decode_task):
        with contextlib.suppress(Unreadable):
            read = decode(body)
            assert decode(encode(read)) == read
