"""What any Redis client may write: stream entries of plain fields, read into messages.

    event NAME [data JSON] [id ID] [TRACE]      cancel REASON [id ID]      terminate | suspend | resume REASON
    start NAME [input JSON | args JSON kwargs JSON] [tags JSON] [memo JSON] [id ID] [TRACE]        (intake only)
    complete TOKEN [result JSON]           fail TOKEN [error TYPE] [message TEXT] [final 1]
    heartbeat TOKEN [details JSON]                                 (these three: intake only, and without `instance`)

and into the answers of a partition, by whoever runs activities there (`core.answers`):

    complete TASK [result JSON]            fail TASK [error TYPE] [message TEXT] [stack TEXT] [final 1] [retry-after MS]
    heartbeat TASK [details JSON]          hand-back TASK [details JSON]         refuse TASK
                                                                   (all five with `queue NAME` and `worker NAME`)

The intake's entries also carry `instance ID`; in a mailbox that field is allowed and ignored. No entry has two of these
verbs, nor any field twice: nobody could tell which one was meant, and the other one would be lost. Payloads (`data`,
`input`, `args` with `kwargs`, `tags`, `memo`, a REASON, `result`, `message`, `details`) have at most `limit` bytes;
redurable's own entries were measured by who sent them. TRACE is `traceparent TEXT` and `tracestate TEXT`, as in HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from redurable.core.answers import Answer, AnswerKind
from redurable.core.codec import Unreadable, decode_message
from redurable.core.completion import Completion
from redurable.core.ids import check_id, check_instance_id, check_name
from redurable.core.messages import Cancel, Malformed, Message, RaiseEvent, Resume, StartExecution, Suspend, Terminate
from redurable.core.retry import LONGEST_MS
from redurable.core.sizes import UNLIMITED, Pairs, brief, check_nesting, check_size
from redurable.core.tokens import read_token
from redurable.core.traces import read_trace
from redurable.core.values import ABSENT, NULL, Arguments, Failure, Trace
from redurable.errors import InvalidName, InvalidPayload, InvalidToken

INTERNAL = b"m"
"""The one field of entries that redurable writes itself: a message in its wire form."""

T = TypeVar("T")
Entry: TypeAlias = Mapping[bytes, bytes] | Pairs
"""The fields of an entry by their names; as pairs when a name stands there twice, which no reader takes."""

_MAILBOX_KINDS = (b"event", b"terminate", b"cancel", b"suspend", b"resume")
INTAKE_KINDS = (b"start", *_MAILBOX_KINDS)
"""What the intake takes for an instance, by the field that says so."""
TOKEN_KINDS = (b"complete", b"fail", b"heartbeat")
"""What it takes for an attempt by token."""
_ANSWER_KINDS = tuple(kind.value.encode() for kind in AnswerKind)
_MOST_REASON = 500
_SHOWN = 40
_args = msgspec.json.Decoder(tuple[Raw, ...])
_kwargs = msgspec.json.Decoder(dict[str, Raw])
_tags = msgspec.json.Decoder(dict[str, str])
_any = msgspec.json.Decoder(Raw)


class Intake(Struct, frozen=True):
    """A readable intake entry."""

    instance: str
    message: Message | StartExecution


def read_mail(entry: Entry, limit: int = UNLIMITED) -> Message | Malformed:
    """Read a mailbox entry, ours or a foreign client's."""
    try:
        fields = _by_name(entry)
        body = fields.get(INTERNAL)
        if body is not None:
            return decode_message(body)
        return _message(fields, limit)
    except (Unreadable, InvalidName, InvalidPayload) as error:
        return malformed(str(error), entry, limit)


def read_intake(entry_id: str, entry: Entry, limit: int = UNLIMITED) -> Intake | Completion | Malformed:
    """Read an intake entry. A start without an `id` gets the entry's id, so that reading it twice starts it once."""
    try:
        fields = _by_name(entry)
        if any(kind in fields for kind in TOKEN_KINDS):
            return _completion(fields, limit)
        instance = fields.get(b"instance")
        if instance is None:
            raise Unreadable("no field 'instance': say which instance is meant")
        target = check_instance_id(_text(instance, "instance"))
        if _verb(fields, INTAKE_KINDS) == b"start":
            return Intake(target, _start(entry_id, fields, limit))
        message = _message(fields, limit)
        if isinstance(message, RaiseEvent | Cancel) and not message.id:
            message = msgspec.structs.replace(message, id=f"intake:{entry_id}")
        return Intake(target, message)
    except (Unreadable, InvalidName, InvalidPayload, InvalidToken) as error:
        return malformed(str(error), entry, limit)


def read_answer(entry: Entry, limit: int = UNLIMITED) -> Answer | Malformed:
    """Read what a foreign worker says of a task."""
    try:
        return _answer(_by_name(entry), limit)
    except (Unreadable, InvalidName, InvalidPayload) as error:
        return malformed(str(error), entry, limit)


def malformed(reason: str, entry: Entry, limit: int = UNLIMITED) -> Malformed:
    """An entry that could not be read, with what it said; of what it said too much of, only the beginning."""
    kept, cut = brief(pairs_of(entry), limit)
    return Malformed((reason if len(reason) <= _MOST_REASON else f"{reason[:_MOST_REASON]}…") + cut, kept)


def too_large(size: int, beginning: Entry, limit: int = UNLIMITED) -> Malformed:
    """An entry of which nobody has read more than the beginning."""
    reason = f"an entry of {size:,} bytes is too large to be read: keep the data elsewhere and pass a reference to it"
    return malformed(f"{reason} (only the beginning is kept here)", beginning, limit)


def pairs_of(entry: Entry) -> Iterable[tuple[bytes, bytes]]:
    """The fields as they were written."""
    return entry if isinstance(entry, tuple) else entry.items()


def _by_name(entry: Entry) -> Mapping[bytes, bytes]:
    if not isinstance(entry, tuple):
        return entry
    [(twice, _)] = Counter(name for name, _ in entry).most_common(1)
    name = twice[:_SHOWN].decode(errors="replace")
    raise Unreadable(f"field {name!r} stands there more than once: send an entry for each, or say it once")


def _verb(fields: Mapping[bytes, bytes], known: Sequence[bytes], what: str = "an entry") -> bytes:
    """The one of the verbs that the entry has."""
    found = [verb for verb in known if verb in fields]
    if len(found) != 1:
        names, verbs = (", ".join(name.decode(errors="replace") for name in some) for some in (fields, known))
        raise Unreadable(f"fields [{names}]: {what} has exactly one of {verbs}")
    return found[0]


def _start(entry_id: str, fields: Mapping[bytes, bytes], limit: int) -> StartExecution:
    name = check_name(_text(fields[b"start"], "start"), "orchestrator")
    execution = check_id(_text(fields.get(b"id", b""), "id"), "start") or f"intake:{entry_id}"
    memo = _json(fields[b"memo"], "memo", limit) if b"memo" in fields else ABSENT
    return StartExecution(
        name=name,
        execution=execution,
        call=_call(fields, limit),
        tags=_start_tags(fields, limit),
        memo=memo,
        trace=_trace(fields),
    )


def _call(fields: Mapping[bytes, bytes], limit: int) -> Arguments:
    if b"input" in fields:
        if b"args" in fields or b"kwargs" in fields:
            raise Unreadable("fields 'input' and 'args'/'kwargs' exclude each other: send one form")
        return Arguments(input=_json(fields[b"input"], "input", limit))
    args, kwargs = fields.get(b"args", b"[]"), fields.get(b"kwargs", b"{}")
    check_size("fields 'args' and 'kwargs'", "payload", len(args) + len(kwargs), limit)
    return Arguments(
        args=_decode(_args, args, "args", "a JSON array"), kwargs=_decode(_kwargs, kwargs, "kwargs", "a JSON object")
    )


def _start_tags(fields: Mapping[bytes, bytes], limit: int) -> dict[str, str]:
    given = fields.get(b"tags", b"{}")
    check_size("field 'tags'", "tags", len(given), limit)
    return _decode(_tags, given, "tags", "a JSON object of strings")


def _completion(fields: Mapping[bytes, bytes], limit: int) -> Completion:
    verb = _verb(fields, (*INTAKE_KINDS, *TOKEN_KINDS))
    kind = verb.decode()
    token = read_token(_text(fields[verb], kind))
    match kind:
        case "complete":
            return Completion(token, result=_json(fields.get(b"result", b"null"), "result", limit))
        case "fail":
            name = check_name(_text(fields.get(b"error", b"Error"), "error"), "error")
            message = fields.get(b"message", b"")
            check_size("field 'message'", "text", len(message), limit)
            failure = Failure(name, _text(message, "message"))
            return Completion(token, failure=failure, names=(name,), final=fields.get(b"final", b"") not in (b"", b"0"))
        case _:
            return Completion(
                token, details=_json(fields[b"details"], "details", limit) if b"details" in fields else ABSENT
            )


def _answer(fields: Mapping[bytes, bytes], limit: int) -> Answer:
    verb = _verb(fields, _ANSWER_KINDS, "an answer")
    kind = AnswerKind(verb.decode())
    task = check_name(_text(fields[verb], kind.value), "task")
    queue = check_name(_text(fields.get(b"queue", b""), "queue"), "task queue")
    worker = check_name(_text(fields.get(b"worker", b""), "worker"), "worker")
    details = _json(fields[b"details"], "details", limit) if b"details" in fields else ABSENT
    answer = Answer(kind, task, queue, worker, details=details)
    if kind is AnswerKind.COMPLETE:
        return msgspec.structs.replace(answer, result=_json(fields.get(b"result", b"null"), "result", limit))
    if kind is AnswerKind.FAIL:
        final = fields.get(b"final", b"") not in (b"", b"0")
        return msgspec.structs.replace(answer, failure=_failure(fields, limit), final=final, wait_ms=_wait(fields))
    return answer


def _failure(fields: Mapping[bytes, bytes], limit: int) -> Failure:
    name = check_name(_text(fields.get(b"error", b"Error"), "error"), "error")
    message, stack = fields.get(b"message", b""), fields.get(b"stack", b"")
    check_size("fields 'message' and 'stack'", "text", len(message) + len(stack), limit)
    return Failure(name, _text(message, "message"), _text(stack, "stack"))


def _wait(fields: Mapping[bytes, bytes]) -> int | None:
    asked = fields.get(b"retry-after")
    if asked is None:
        return None
    if not asked.isdigit() or len(asked) > len(str(LONGEST_MS)) or int(asked) > LONGEST_MS:
        raise Unreadable(f"field 'retry-after' is {asked[:40]!r}: send milliseconds, at most {LONGEST_MS}")
    return int(asked)


def _message(fields: Mapping[bytes, bytes], limit: int) -> Message:
    verb = _verb(fields, _MAILBOX_KINDS)
    kind = verb.decode()
    check_size(f"field {kind!r}", "text", len(fields[verb]), limit)
    value = _text(fields[verb], kind)
    match kind:
        case "event":
            data = _json(fields[b"data"], "data", limit) if b"data" in fields else NULL
            event_id = check_id(_text(fields.get(b"id", b""), "id"), "event")
            return RaiseEvent(name=check_name(value, "event"), data=data, id=event_id, trace=_trace(fields))
        case "terminate":
            return Terminate(reason=value)
        case "cancel":
            cancel_id = check_id(_text(fields.get(b"id", b""), "id"), "cancel")
            return Cancel(reason=value, id=cancel_id)
        case "suspend":
            return Suspend(reason=value)
        case _:
            return Resume(reason=value)


def _trace(fields: Mapping[bytes, bytes]) -> Trace | None:
    """What cannot be read here is no reason to refuse the work."""
    parent = fields.get(b"traceparent")
    if parent is None:
        return None
    return read_trace(parent.decode(errors="replace"), fields.get(b"tracestate", b"").decode(errors="replace"))


def _text(value: bytes, field: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable(f"field {field!r} is not UTF-8: {value[:40]!r}") from None


def _json(value: bytes, field: str, limit: int) -> Raw:
    check_size(f"field {field!r}", "payload", len(value), limit)
    return _decode(_any, value, field, "JSON")


def _decode(decoder: msgspec.json.Decoder[T], value: bytes, field: str, wanted: str) -> T:
    _text(value, field)  # The decoder does not look into strings that it hands on as they are.
    check_nesting(f"field {field!r}", value)
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"field {field!r} is not {wanted}: {error} in {value[:80]!r}") from None
