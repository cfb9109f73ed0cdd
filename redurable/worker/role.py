"""What a role is: one thing that waits, one file. The worker runs its roles in one task group.

A role that returns has done its part; one that raises stops the worker. Its store is a `PatientStore`, so an outage is
waited out inside the store's verbs and never seen here.
"""

from __future__ import annotations

import random
from typing import Protocol

import anyio

SPREAD = 0.1
"""Periodic roles rest 10 % shorter or longer, so that workers started together do not march in step."""


class Role(Protocol):
    """One thing that waits."""

    @property
    def name(self) -> str:
        """One word for logs and errors."""
        ...

    async def run(self) -> None:
        """Work until cancelled, or until the worker takes on nothing new."""
        ...


class Poll(Protocol):
    """What a periodic role does each time."""

    async def poll(self) -> int:
        """Do one round; return how many milliseconds to rest before the next."""
        ...


async def keep_polling(role: Poll) -> None:
    """The loop of every periodic role."""
    while True:
        rest_ms = await role.poll()
        await anyio.sleep(rest_ms / 1000 * random.uniform(1 - SPREAD, 1 + SPREAD))
