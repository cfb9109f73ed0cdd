"""The hub's dead letters: what people do with them."""

from __future__ import annotations

from collections.abc import Sequence

from redurable.store.letters import Letter, entries_of, read_letter
from redurable.store.redis.lane import Argument, Lane
from redurable.store.redis.layout import Layout
from redurable.store.redis.wire import fields_of

_MOST_IDS = 500


async def letters(lane: Lane, layout: Layout, consumer: str, after: str, count: int) -> list[Letter]:
    """Up to `count` dead letters behind that id, the oldest first."""
    entries = await lane.call("XRANGE", layout.hub.dead, f"({after}" if after else "-", "+", "COUNT", count)
    return [read_letter(entry_id.decode(), fields_of(flat)) for entry_id, flat in entries]


async def drop_letters(lane: Lane, layout: Layout, consumer: str, ids: Sequence[str]) -> int:
    """Delete these; return how many were there."""
    dropped = 0
    for first in range(0, len(ids), _MOST_IDS):
        dropped += await lane.call("XDEL", layout.hub.dead, *ids[first : first + _MOST_IDS])
    return dropped


async def redrive_letters(lane: Lane, layout: Layout, consumer: str, ids: Sequence[str]) -> list[str]:
    """Put these back into the intake, as far as they can come from there; return their ids."""
    found: list[Letter] = []
    for letter_id in ids:
        entries = await lane.call("XRANGE", layout.hub.dead, letter_id, letter_id)
        found += [read_letter(letter_id, fields_of(flat)) for _, flat in entries]
    redriven: list[str] = []
    for letter_id, entry in entries_of(found):
        fields: list[Argument] = [part for pair in entry for part in pair]
        if await lane.script("redrive_letter", [layout.hub.dead, layout.hub.intake], [letter_id, *fields]):
            redriven.append(letter_id)
    return redriven
