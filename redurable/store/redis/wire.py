"""Bytes of Redis <-> values of the core: stream entries, outbox entries, timer members, replies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from redurable.core.codec import decode_message, decode_start, encode
from redurable.core.delivery import DeadLetter, Outgoing
from redurable.core.foreign import Entry, read_mail
from redurable.core.messages import Control, Mail, Message, RaiseEvent, Rewind, StartExecution, SubOrchestrationFailure
from redurable.core.values import ABSENT, Task
from redurable.store.port import CanceledCalls, TaskLease

Fields: TypeAlias = dict[bytes, bytes]
TimerKind: TypeAlias = Literal["t", "u", "r", "c", "s"]
"""t: a durable timer of an execution; u: a parked or delayed instance may go on; r: a task goes back to its queue;
c, s: a call of an activity was not closed, or not started, in time."""

LAST_ID = "18446744073709551615-18446744073709551615"
_LARGEST = 2**64 - 1

_json = msgspec.json.Encoder()
_member = msgspec.json.Decoder(tuple[TimerKind, str, int | str, str])
_seqs = msgspec.json.Decoder(tuple[int, ...])
_unread = msgspec.json.Decoder(dict[str, int])
_packed = msgspec.msgpack.Encoder()
_unpacked = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])


def fields_of(flat: Sequence[bytes]) -> Fields:
    """The fields of a stream entry; of a field that stands there twice the last value."""
    if len(flat) == 2:
        return {flat[0]: flat[1]}
    return dict(zip(flat[::2], flat[1::2], strict=True))


def entry_of(flat: Sequence[bytes]) -> Entry:
    """The fields of an entry that a foreign client may have written: as pairs when a name stands there twice."""
    fields = fields_of(flat)
    return fields if 2 * len(fields) == len(flat) else tuple(zip(flat[::2], flat[1::2], strict=True))


def mail_of(entry: Sequence[Any], max_payload: int) -> Mail:
    """A mailbox entry, ours or a foreign client's."""
    return Mail(entry[0].decode(), read_mail(entry_of(entry[1]), max_payload))


def after(entry_id: str) -> str:
    """The smallest stream id greater than `entry_id`; empty when there is none."""
    ms, _, seq = entry_id.partition("-")
    if int(seq) < _LARGEST:
        return f"{ms}-{int(seq) + 1}"
    return f"{int(ms) + 1}-0" if int(ms) < _LARGEST else ""


def kind_of(message: Message) -> Literal["e", "c", "r", "m"]:
    """What `_append.lua` must know of a message: e = external event, c = control, r = for finished instances, too,
    m = anything else."""
    if isinstance(message, RaiseEvent):
        return "e"
    if isinstance(message, Rewind):
        return "r"
    return "c" if isinstance(message, Control) else "m"


def timer_member(kind: TimerKind, execution: str, key: int | str, instance: str) -> str:
    """The member of a partition's timer set. `key`: u the time in ms, of all others the seq."""
    return _json.encode((kind, execution, key, instance)).decode()


def call_member(kind: TimerKind, task: Task) -> str:
    """The timer of a task's call."""
    return timer_member(kind, task.execution, task.seq, task.instance)


def call_field(task: Task) -> str:
    """Where the heartbeat details of a task's call lie, and the mark that it was cancelled."""
    return named_call(task.execution, task.seq, task.instance)


def named_call(execution: str, seq: int, instance: str) -> str:
    """The same, of a call whose task is elsewhere."""
    return _json.encode((execution, seq, instance)).decode()


def canceled_fields(instance: str, execution: str, seqs: Sequence[int]) -> list[str | bytes]:
    """The fields of the news that calls were cancelled."""
    return ["i", instance, "x", execution, "s", _json.encode(seqs)]


def read_canceled(entry: Sequence[Any]) -> CanceledCalls:
    """Read them; of what somebody else wrote there, no calls."""
    fields = fields_of(entry[1])
    try:
        instance, execution = fields[b"i"].decode(), fields[b"x"].decode()
        return CanceledCalls(entry[0].decode(), instance, execution, _seqs.decode(fields[b"s"]))
    except (KeyError, UnicodeDecodeError, msgspec.DecodeError):
        return CanceledCalls(entry[0].decode(), "", "", ())


def beat_field(lease: TaskLease) -> str:
    """The same, for a lease with details; else empty."""
    return "" if lease.heartbeat is ABSENT else call_field(lease.task)


def wait_of(task: Task) -> tuple[str, int, int, str]:
    """What `_wait.lua` must know of a task that comes into its queue: member ('' = its wait there is not limited),
    since when it waits (0: since then), its limit in ms, the name of the queue."""
    limit = task.options.timeouts.schedule_to_start
    return (call_member("s", task) if limit else ""), task.waiting_since, limit, task.options.task_queue


def read_timer_member(member: bytes | str) -> tuple[TimerKind, str, int | str, str]:
    """(kind, execution, key, instance); raises `msgspec.DecodeError` for a foreign member."""
    return _member.decode(member)


def unread_of(value: bytes | None) -> dict[str, int]:
    """How many events of each name wait unread; none where a foreign client wrote something else."""
    try:
        return _unread.decode(value) if value else {}
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return {}


def json_text(value: str) -> str:
    """A string as JSON."""
    return _json.encode(value).decode()


def pack_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Original fields as one opaque value."""
    return _packed.encode(tuple(fields))


def outbox_fields(item: Outgoing | DeadLetter) -> list[str | bytes]:
    """The fields of an outbox entry: `d` destination, `m` message [, `r` refused parent, `f` refusal]; or
    `dead` reason, `i` instance, `o` original fields."""
    if isinstance(item, DeadLetter):
        return ["dead", item.reason, "i", item.instance, "o", pack_fields(item.fields)]
    fields: list[str | bytes] = ["d", item.instance, "m", encode(item.message)]
    if item.refusal is not None:
        fields += ["r", item.refusal[0], "f", encode(item.refusal[1])]
    return fields


def read_outbox(fields: Fields) -> Outgoing | DeadLetter:
    """Read an outbox entry; raises `Unreadable` or `KeyError` when it is not ours."""
    if b"dead" in fields:
        original = _unpacked.decode(fields[b"o"]) if b"o" in fields else ()
        return DeadLetter(fields[b"dead"].decode(), fields[b"i"].decode(), original)
    refusal: tuple[str, SubOrchestrationFailure] | None = None
    if b"f" in fields:
        refused = decode_message(fields[b"f"])
        if isinstance(refused, SubOrchestrationFailure):
            refusal = (fields[b"r"].decode(), refused)
    return Outgoing(fields[b"d"].decode(), _read_sent(fields[b"m"]), refusal)


def _read_sent(body: bytes) -> Message | StartExecution:
    return decode_start(body) if body.startswith(b'{"type":"StartExecution"') else decode_message(body)
