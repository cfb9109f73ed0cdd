"""select and join over futures that were done before: the place in the history of what settled them decides."""

from __future__ import annotations

import asyncio

import pytest

from redurable.authoring.waiting import join, select


class Placed(asyncio.Future[str]):
    """A future that carries `position`, as those of the engine do."""

    def __init__(self, result: str | None = None, position: int = 0) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.position = position
        if result is not None:
            self.set_result(result)


async def test_earlier_in_the_history_is_first() -> None:
    late, pending, early = Placed("late", 9), Placed(), Placed("early", 3)
    assert await select([pending, late, early]) == (2, "early")
    assert pending.cancelled()
    assert await join([late, early]) == ["early", "late"]
    rest = join([Placed("b", 2), other := Placed(), Placed("a", 1)])
    other.set_result("c")
    assert await rest == ["a", "b", "c"]


async def test_without_a_position_the_order_of_the_arguments_decides() -> None:
    async def now(name: str) -> str:
        return name

    tasks = [asyncio.create_task(now(name)) for name in ("a", "b")]
    await asyncio.wait(tasks)
    assert await select(tasks[::-1]) == (0, "b")


async def test_the_same_awaitable_twice() -> None:
    future = Placed("x")
    assert await join([future, future]) == ["x", "x"]
    assert await select([future, future]) == (0, "x")


async def test_cancelled_and_failed_awaitables_decide_too() -> None:
    cancelled, failed = Placed(), Placed()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await select([cancelled, Placed()])
    failed.set_exception(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        await select([Placed(), failed])
    with pytest.raises(ValueError, match="mine"):
        await join([failed, Placed("x", 1)])


async def test_errors_of_losers_are_nobodys() -> None:
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    winner, loser = Placed("x"), Placed()
    loser.set_exception(ValueError("nobody's"))
    assert await select([winner, loser]) == (0, "x")
    failed = [Placed(), Placed()]
    joined = join(failed)
    failed[0].set_exception(ValueError("first"))
    failed[1].set_exception(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        await joined
    await asyncio.sleep(0)
    del loser, failed, joined
    assert reports == []
