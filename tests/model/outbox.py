"""An exhaustive model of the outbox: one source, one destination, two relays that may crash between any two steps.

A relay reads entries, delivers them (one script at the destination) and deletes them at the source. Checked: every
message is delivered once, in order, and none is left behind. After a failover of the source alone (another slot's
primary), messages may come again; `reissue` says how the entries get their ids then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple


class Variant(NamedTuple):
    """How the relay is built. `reads`: a prefix by XRANGE, or what a consumer group hands out."""

    reads: Literal["prefix", "group"] = "prefix"
    watermark: bool = True
    failover: bool = False
    reissue: Literal["above", "again"] = "above"
    messages: int = 4
    batch: int = 2


Entries = tuple[tuple[int, int], ...]


class Relay(NamedTuple):
    """What it has read, and whether that was delivered."""

    entries: Entries = ()
    delivered: bool = False


class World(NamedTuple):
    """`outbox` holds (id, message); `handed_out` is the last id that the group gave to somebody."""

    to_send: tuple[int, ...] = ()
    next_id: int = 1
    outbox: Entries = ()
    handed_out: int = 0
    watermark: int = 0
    inbox: tuple[int, ...] = ()
    relays: tuple[Relay, Relay] = (Relay(), Relay())
    crashes: int = 1
    snapshot: tuple[tuple[int, ...], int, Entries] | None = None
    failed_over: bool = False


def explore(variant: Variant) -> str | None:
    """What goes wrong in the first bad state found, or None."""
    first = World(to_send=tuple(range(1, variant.messages + 1)))
    seen = {first}
    queue = deque([first])
    while queue:
        world = queue.popleft()
        bad = _unsafe(variant, world)
        if bad:
            return bad
        for reached in _steps(variant, world):
            if reached not in seen:
                seen.add(reached)
                queue.append(reached)
    return None


def _unsafe(variant: Variant, world: World) -> str | None:
    inbox = world.inbox
    if len(set(inbox)) != len(inbox) and not world.failed_over:
        return f"delivered twice: {inbox}"
    if not world.failed_over and list(inbox) != sorted(inbox):
        return f"out of order: {inbox}"
    at_rest = not world.to_send and not world.outbox and not any(r.entries for r in world.relays)
    if at_rest and set(inbox) != set(range(1, variant.messages + 1)):
        return f"lost: only {inbox} arrived"
    return None


def _steps(variant: Variant, world: World) -> Iterator[World]:
    # Instances that repeat lost turns after a failover may come in another order than before.
    for message in world.to_send if world.failed_over else world.to_send[:1]:
        left = tuple(other for other in world.to_send if other != message)
        entry = (world.next_id, message)
        yield world._replace(to_send=left, next_id=world.next_id + 1, outbox=(*world.outbox, entry))
    if variant.failover and world.snapshot is None:
        yield world._replace(snapshot=(world.to_send, world.next_id, world.outbox))
    if world.snapshot is not None and not world.failed_over:
        yield _fail_over(variant, world, world.snapshot)
    for number, relay in enumerate(world.relays):
        yield from _relay_steps(variant, world, number, relay)


def _fail_over(variant: Variant, world: World, snapshot: tuple[tuple[int, ...], int, Entries]) -> World:
    """The source is its replica now, and instances take again the turns that it never heard of."""
    to_send, next_id, outbox = snapshot
    if variant.reissue == "above":
        next_id = world.next_id
        outbox = tuple((next_id + at, sent) for at, (_, sent) in enumerate(outbox))
        next_id += len(outbox)
    return world._replace(to_send=to_send, next_id=next_id, outbox=outbox, relays=(Relay(), Relay()), failed_over=True)


def _relay_steps(variant: Variant, world: World, number: int, relay: Relay) -> Iterator[World]:
    def becomes(state: Relay, **changes: object) -> World:
        relays = (state, world.relays[1]) if number == 0 else (world.relays[0], state)
        return world._replace(relays=relays, **changes)

    if not relay.entries:
        yield from (becomes(Relay(read), **changes) for read, changes in _reads(variant, world) if read)
        return
    if relay.delivered:
        left = tuple(entry for entry in world.outbox if entry not in relay.entries)
        yield becomes(Relay(), outbox=left)
    else:
        new = [entry for entry in relay.entries if entry[0] > world.watermark or not variant.watermark]
        mark = max([world.watermark, *(entry[0] for entry in new)])
        inbox = (*world.inbox, *(message for _, message in new))
        yield becomes(relay._replace(delivered=True), inbox=inbox, watermark=mark)
    if world.crashes:
        yield becomes(Relay(), crashes=world.crashes - 1)


def _reads(variant: Variant, world: World) -> Iterator[tuple[Entries, dict[str, object]]]:
    if variant.reads == "prefix":
        yield world.outbox[: variant.batch], {}
        return
    new = tuple(entry for entry in world.outbox if entry[0] > world.handed_out)[: variant.batch]
    yield new, {"handed_out": new[-1][0]} if new else {}
    # Reclaimed: a lease may run out at any moment.
    yield tuple(entry for entry in world.outbox if entry[0] <= world.handed_out)[: variant.batch], {}
