"""What any Redis client may write: stream entries of plain fields, read into messages.

    event NAME [data JSON] [id ID]         terminate | suspend | resume REASON
    start NAME [input JSON | args JSON kwargs JSON] [id ID]        (intake only)

The intake's entries also carry `instance ID`; in a mailbox that field is allowed and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from redurable.core.codec import Unreadable, decode_message, malformed
from redurable.core.ids import check_instance_id, check_name
from redurable.core.messages import Malformed, Message, RaiseEvent, Resume, StartExecution, Suspend, Terminate
from redurable.core.values import NULL, Arguments
from redurable.errors import InvalidName

INTERNAL = b"m"
"""The one field of entries that redurable writes itself: a message in its wire form."""

T = TypeVar("T")

_MAILBOX_KINDS = (b"event", b"terminate", b"suspend", b"resume")
_args = msgspec.json.Decoder(tuple[Raw, ...])
_kwargs = msgspec.json.Decoder(dict[str, Raw])
_any = msgspec.json.Decoder(Raw)


class Intake(Struct, frozen=True):
    """A readable intake entry."""

    instance: str
    message: Message | StartExecution


def read_mail(fields: Mapping[bytes, bytes]) -> Message | Malformed:
    """Read a mailbox entry, ours or a foreign client's."""
    try:
        body = fields.get(INTERNAL)
        if body is not None:
            return decode_message(body)
        return _message(fields)
    except (Unreadable, InvalidName) as error:
        return malformed(str(error), dict(fields))


def read_intake(entry_id: str, fields: Mapping[bytes, bytes]) -> Intake | Malformed:
    """Read an intake entry. A start without an `id` gets the entry's id, so that reading it twice starts it once."""
    try:
        instance = fields.get(b"instance")
        if instance is None:
            raise Unreadable("no field 'instance': say which instance is meant")
        target = check_instance_id(_text(instance, "instance"))
        if b"start" in fields:
            return Intake(target, _start(entry_id, fields))
        message = _message(fields)
        if isinstance(message, RaiseEvent) and not message.id:
            message = msgspec.structs.replace(message, id=f"intake:{entry_id}")
        return Intake(target, message)
    except (Unreadable, InvalidName) as error:
        return malformed(str(error), dict(fields))


def _start(entry_id: str, fields: Mapping[bytes, bytes]) -> StartExecution:
    name = check_name(_text(fields[b"start"], "start"), "orchestrator")
    execution = _text(fields.get(b"id", b""), "id") or f"intake:{entry_id}"
    if b"input" in fields:
        if b"args" in fields or b"kwargs" in fields:
            raise Unreadable("fields 'input' and 'args'/'kwargs' exclude each other: send one form")
        return StartExecution(name=name, execution=execution, call=Arguments(input=_json(fields[b"input"], "input")))
    args = _decode(_args, fields.get(b"args", b"[]"), "args", "a JSON array")
    kwargs = _decode(_kwargs, fields.get(b"kwargs", b"{}"), "kwargs", "a JSON object")
    return StartExecution(name=name, execution=execution, call=Arguments(args=args, kwargs=kwargs))


def _message(fields: Mapping[bytes, bytes]) -> Message:
    kinds = [kind for kind in _MAILBOX_KINDS if kind in fields]
    if len(kinds) != 1:
        found = ", ".join(name.decode(errors="replace") for name in fields)
        raise Unreadable(f"fields [{found}]: an entry has exactly one of event, terminate, suspend, resume")
    value = _text(fields[kinds[0]], kinds[0].decode())
    match kinds[0]:
        case b"event":
            data = _json(fields[b"data"], "data") if b"data" in fields else NULL
            return RaiseEvent(name=check_name(value, "event"), data=data, id=_text(fields.get(b"id", b""), "id"))
        case b"terminate":
            return Terminate(reason=value)
        case b"suspend":
            return Suspend(reason=value)
        case _:
            return Resume(reason=value)


def _text(value: bytes, field: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable(f"field {field!r} is not UTF-8: {value[:40]!r}") from None


def _json(value: bytes, field: str) -> Raw:
    return _decode(_any, value, field, "JSON")


def _decode(decoder: msgspec.json.Decoder[T], value: bytes, field: str, wanted: str) -> T:
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"field {field!r} is not {wanted}: {error} in {value[:80]!r}") from None
