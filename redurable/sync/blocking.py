"""Methods of the asynchronous client as methods that block. Their signatures and documentation are those of the
originals, so the two cannot drift apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from redurable import Client as AsyncClient  # By its public name: so what it returns says that it is of redurable, too.
from redurable.sync.loop import Loop

P = ParamSpec("P")
T = TypeVar("T")


class Opened(Protocol):
    """What has an asynchronous client, and the loop in which it lives."""

    @property
    def asynchronous(self) -> AsyncClient:
        """The client."""
        ...

    @property
    def loop(self) -> Loop:
        """Its loop. Raises `CallerError` when there is none."""
        ...


def blocking(
    method: Callable[Concatenate[AsyncClient, P], Awaitable[T]],
) -> Callable[Concatenate[Opened, P], T]:
    """The method that waits for what this one returns."""

    @wraps(method)
    def wait(opened: Opened, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return opened.loop.run(lambda: method(opened.asynchronous, *args, **kwargs))

    return wait


def iterating(
    method: Callable[Concatenate[AsyncClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[Opened, P], Iterator[T]]:
    """The method that waits for each item."""

    @wraps(method)
    def iterate(opened: Opened, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        loop, items = opened.loop, method(opened.asynchronous, *args, **kwargs)

        async def following() -> tuple[T, ...]:
            try:
                return (await anext(items),)
            except StopAsyncIteration:
                return ()

        # When the caller breaks off, the loop closes `items`: a generator that is dropped tells it.
        while found := loop.run(following):
            yield found[0]

    return iterate
