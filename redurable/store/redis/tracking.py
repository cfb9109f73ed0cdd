"""Reads that the server remembers: it says when a key that was read may have been changed since, by whomever.

That is what Redis calls client tracking. It is bound to one connection: with a new one, nothing is remembered, and what
was known of keys is worth nothing (`epoch` says so). Where a server does not do it, each call is an epoch of its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from redurable.store.redis.channel import Argument, Channel, pack
from redurable.store.redis.lane import Lane

log = logging.getLogger("redurable.store")

_SET_UP: Final = (("HELLO", "3"), ("CLIENT", "TRACKING", "ON"))
"""In RESP3 the news come on the connection itself, in order: what was written before a reply is told before it."""
_SET_UP_S: Final = 5.0
_INVALID: Final = b"invalidate"


class Tracking:
    """A connection of its own, beside those of `lane`. `changed` are the keys that were written to after they had been
    read here, as far as the last call tells; whoever has dealt with one takes it out."""

    def __init__(self, lane: Lane) -> None:
        self.epoch = 0
        self.changed: set[bytes] = set()
        self._connect = lane.connect
        self._lane = Lane(self._open, lane.before_connect)
        self._news: list[Any] = []
        self._works = False
        self._reported = False
        self._turn = asyncio.Lock()

    async def call(self, *command: Argument) -> Any:
        """One command that only reads; errors as of `Lane.call`."""
        async with self._turn:
            reply = await self._lane.call(*command)
            if not self._works:
                self._forget()
            news, self._news[:] = list(self._news), []
            for kind, keys in news:
                if kind == _INVALID and keys is None:  # the whole database was emptied
                    self._forget()
                elif kind == _INVALID:
                    self.changed.update(keys)
            return reply

    async def close(self) -> None:
        """Close the connection."""
        await self._lane.close()

    async def _open(self) -> Channel:
        channel = await self._connect()
        self._forget()
        try:
            self._works, self._news = await self._set_up(channel), channel.news
        except BaseException:
            await channel.close()
            raise
        return channel

    async def _set_up(self, channel: Channel) -> bool:
        for command in _SET_UP:
            answer = await channel.exchange(pack(command), _SET_UP_S)
            if isinstance(answer, Exception):
                self._report(command, answer)
                return False
        return True

    def _forget(self) -> None:
        self.epoch += 1
        self.changed.clear()

    def _report(self, command: tuple[str, ...], answer: Exception) -> None:
        if not self._reported:
            self._reported = True
            why = f"{' '.join(command)} is refused ({answer}), so every walk of the sweep asks for all mailboxes"
            log.warning("%s: extend this user's ACL rules (see `redurable acl`)", why)
