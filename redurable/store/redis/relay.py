"""Messages between partitions, and from the hub's intake: read a prefix of the source, deliver it, delete it there.

Each destination keeps one mark per source, the last id that was delivered from there, moved in the step that delivers.
So any number of callers may do this at once, and each may die between any two steps: nothing is lost, nothing comes
twice, and what one source sends to one instance keeps its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from redurable.core.codec import encode
from redurable.core.completion import Completion
from redurable.core.delivery import DeadLetter
from redurable.core.foreign import Entry, malformed, pairs_of, read_intake, too_large
from redurable.core.messages import Control, Malformed
from redurable.core.sizes import UNLIMITED, brief
from redurable.store.letters import OURS
from redurable.store.redis import intake
from redurable.store.redis.keyring import Keyring
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.listing import index_keys
from redurable.store.redis.tokens import Saying, settle_from_intake
from redurable.store.redis.wire import Fields, entry_of, fields_of, json_text, pack_fields
from redurable.store.routing import Grievance, Relayed, Routed
from redurable.store.unknown import Unclaimed

INTAKE: Final = "in"
"""The intake's name as a source; an outbox is called `p` and its partition's number."""

_PER_MESSAGE = 17
_MOST_MESSAGES = 500
_MOST_BYTES = 1_000_000
_MOST_FIELDS = 1000
_MOST_ARGUMENTS = 5_000
_GRIEVANCES: Final[dict[bytes, Grievance]] = {
    b"buried": "missing",
    b"dead missing": "missing",
    b"dead finished": "finished",
    b"dead taken": "taken",
    b"dead late": "late",
    b"dead unusable": "unusable",
}
"""What becomes of messages of the intake; they are meant for no execution, so none is stale."""
_KINDS = {"RaiseEvent": "e", "StartExecution": "s", "Rewind": "r"} | {kind.__name__: "c" for kind in get_args(Control)}


class _Parent(Struct):
    instance: str


class _Head(Struct):
    """What must be known of a message to hand it on; all else may be of a release that is newer than this one."""

    type: str
    execution: str = ""
    name: str = ""
    number: int = 1
    not_before: int = 0
    id: str = ""
    parent: _Parent | None = None
    tags: dict[str, str] = {}


class Parcel(Struct, frozen=True):
    """A message on its way. `refusal` (parent, message) is sent when it starts a child whose id is taken. `original`
    are the packed fields that it came in, if they were others than its body."""

    id: str
    instance: str
    body: bytes
    head: _Head
    refusal: tuple[bytes, bytes] = (b"", b"")
    original: bytes = b""


class Burial(Struct, frozen=True):
    """A dead letter on its way."""

    id: str
    letter: DeadLetter


_head = msgspec.json.Decoder(_Head)
_original = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])


async def relay(lane: Lane, layout: Layout, consumer: str, partition: int, count: int) -> Relayed:
    """Deliver a prefix of a partition's outbox."""
    outbox = layout.partition(partition).outbox
    entries = await lane.call("XRANGE", outbox, "-", "+", "COUNT", count)
    if not entries:
        return Relayed()
    source = f"p{partition}"
    parcels, burials = split(entries, layout.max_payload)
    outcomes = await deliver(lane, layout, source, parcels)
    await bury(lane, layout, source, burials)
    return Relayed(await _delete(lane, outbox, entries), _unclaimed(outcomes))


async def route(lane: Lane, layout: Layout, consumer: str, count: int, block_ms: int) -> Routed:
    """Deliver a prefix of the hub's intake."""
    batch = await intake.read(lane, layout, count, block_ms)
    if not batch.entries:
        return Routed(told=batch.told)
    parcels, burials, sayings = split_intake(batch.numbered(), layout.max_payload)
    outcomes = await deliver(lane, layout, INTAKE, parcels)
    outcomes += [await settle_from_intake(lane, layout, saying) for saying in sayings]
    buried = await bury(lane, layout, INTAKE, burials)
    told = await intake.drop(lane, layout, batch)
    dead: list[Grievance] = [_GRIEVANCES[outcome] for outcome in outcomes if outcome in _GRIEVANCES]
    delivered = sum(outcome not in (b"seen", b"dropped") for outcome in outcomes) - len(dead)
    unread: tuple[Grievance, ...] = ("malformed",) * buried
    return Routed(delivered, tuple(sorted((*dead, *unread))), _unclaimed(outcomes), told)


def _unclaimed(outcomes: Sequence[bytes]) -> Unclaimed:
    return Unclaimed(outcomes.count(b"kept"), outcomes.count(b"dropped"), outcomes.count(b"buried"))


async def deliver(lane: Lane, layout: Layout, source: str, parcels: Iterable[Parcel]) -> list[bytes]:
    """Deliver in order; return what became of each: an outcome of `send`, `seen`, or `dead` and why."""
    outcomes: list[bytes] = []
    ring, size = Keyring(), 0
    args: list[Argument] = [source]
    for parcel in parcels:
        args += _pack(layout, ring, parcel)
        size += len(parcel.body)
        if len(args) > _PER_MESSAGE * _MOST_MESSAGES or size > _MOST_BYTES:
            outcomes += await lane.script("deliver", ring.keys, args)
            ring, size = Keyring(), 0
            args = [source]
    if len(args) > 1:
        outcomes += await lane.script("deliver", ring.keys, args)
    return outcomes


async def bury(lane: Lane, layout: Layout, source: str, burials: Iterable[Burial]) -> int:
    """Put dead letters on the hub's stream of them, in order; return how many were not there yet."""
    keys, buried, size = [layout.hub.dead, layout.hub.marks], 0, 0
    args: list[Argument] = [source]
    for burial in burials:
        letter: list[Argument] = [burial.id, burial.letter.position, *_dead_fields(burial.letter)]
        args += (len(letter), *letter)
        size += sum(len(value) for _, value in burial.letter.fields)
        if len(args) > _MOST_ARGUMENTS or size > _MOST_BYTES:
            buried += await lane.script("bury", keys, args)
            args, size = args[:1], 0
    if len(args) > 1:
        buried += await lane.script("bury", keys, args)
    return buried


async def _delete(lane: Lane, stream: str, entries: Sequence[Any]) -> int:
    return await lane.call("XDEL", stream, *(entry[0] for entry in entries))


def split(entries: Iterable[Any], max_payload: int = UNLIMITED) -> tuple[list[Parcel], list[Burial]]:
    """Raw entries of an outbox by what is to become of them, each list in order."""
    items = [read_outbox_entry(entry_id.decode(), fields_of(flat), max_payload) for entry_id, flat in entries]
    parcels = [item for item in items if isinstance(item, Parcel)]
    return parcels, [item for item in items if isinstance(item, Burial)]


def split_intake(
    entries: Iterable[Any], max_payload: int = UNLIMITED
) -> tuple[list[Parcel], list[Burial], list[Saying]]:
    """The same of the intake, and what it says of attempts by token."""
    items = [read_intake_entry(entry[0].decode(), entry_of(entry[1]), max_payload, *entry[2:]) for entry in entries]
    parcels = [item for item in items if isinstance(item, Parcel)]
    burials = [item for item in items if isinstance(item, Burial)]
    return parcels, burials, [item for item in items if isinstance(item, Saying)]


def read_outbox_entry(entry_id: str, fields: Fields, max_payload: int) -> Parcel | Burial:
    """An outbox entry. What cannot be read goes to the dead letters as it is, or it would hold up all behind it."""
    try:
        if b"dead" in fields:
            return Burial(entry_id, _read_letter(fields))
        body = fields[b"m"]
        refusal = (fields.get(b"r", b""), fields.get(b"f", b""))
        return Parcel(entry_id, fields[b"d"].decode(), body, _head.decode(body), refusal)
    except (KeyError, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        instance = fields.get(b"d", fields.get(b"i", b"")).decode(errors="replace")
        what = malformed(f"not an outbox entry: {error!r}", fields, max_payload)
        return Burial(entry_id, DeadLetter(what.reason, instance, what.fields))


def _read_letter(fields: Fields) -> DeadLetter:
    """Scripts write a message as it is (`m`, `t`), Python packs the original fields (`o`)."""
    if b"o" in fields:
        original = _original.decode(fields[b"o"])
    else:
        original = tuple((name, value) for name, value in fields.items() if name not in (b"dead", b"i", b"p"))
    return DeadLetter(fields[b"dead"].decode(), fields[b"i"].decode(), original, fields.get(b"p", b"").decode())


def read_intake_entry(entry_id: str, entry: Entry, max_payload: int, size: int = 0) -> Parcel | Burial | Saying:
    """An intake entry; with a `size` only the beginning of one."""
    item = read_intake(entry_id, entry, max_payload) if not size else too_large(size, entry, max_payload)
    original, _ = brief(pairs_of(entry), max_payload)
    if isinstance(item, Completion):
        return Saying(entry_id, item, pack_fields(original))
    if isinstance(item, Malformed):
        instance = dict(pairs_of(entry)).get(b"instance", b"").decode(errors="replace")
        return Burial(entry_id, DeadLetter(item.reason, instance, item.fields, entry_id))
    body = encode(item.message)
    return Parcel(entry_id, item.instance, body, _head.decode(body), original=pack_fields(original))


def _pack(layout: Layout, ring: Keyring, parcel: Parcel) -> Iterator[Argument]:
    instance, head = parcel.instance, parcel.head
    keys = layout.of(instance)
    kind = _KINDS.get(head.type, "m")
    shared = (keys.ready, keys.open, keys.outbox, keys.marks, keys.timers, keys.unknown, keys.ix, keys.names)
    yield ring.block(keys, *shared)
    yield ring.own(
        keys.instance(instance),
        keys.start(instance),
        keys.mailbox(instance),
        keys.executions(instance),
        keys.kept(instance),
    )
    yield from (parcel.id, instance, kind, head.execution, parcel.body)
    yield from (head.id if kind == "e" else head.name, head.number)
    yield from (*parcel.refusal, parcel.original)
    yield from (head.not_before, json_text(instance) if head.not_before else "")
    if kind != "s":
        yield from ("", 0, 0)
        return
    owner = head.parent.instance if head.parent else ""
    indexes = index_keys(keys, head.name, owner, head.tags.items())
    yield from (owner, ring.own(*indexes), len(indexes))


def _dead_fields(letter: DeadLetter) -> list[Argument]:
    """Reason, instance and the original fields; `o`, packed, are those that bear the name of one of ours and say
    something else, or of one before them, or all of them when they are more than a script can hand to one command."""
    fields: list[Argument] = [letter.reason, letter.instance]
    if len(letter.fields) > _MOST_FIELDS:
        return [*fields, "o", pack_fields(letter.fields)]
    covered: list[tuple[bytes, bytes]] = []
    once = sum(name == b"instance" for name, _ in letter.fields) == 1
    names: set[bytes] = {*OURS}
    for name, value in letter.fields:
        if name not in names:
            fields += (name, value)
            names.add(name)
        elif not (once and (name, value) == (b"instance", letter.instance.encode())):
            covered.append((name, value))
    return [*fields, "o", pack_fields(covered)] if covered else fields
