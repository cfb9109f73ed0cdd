"""Errors of user code as stored failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from redurable.authoring.failures import failure_of
from redurable.core.codec import decode_message, encode
from redurable.core.messages import ActivityFailure
from redurable.core.values import Failure
from redurable.errors import ActivityFailed, SubOrchestrationFailed


class Declined(Exception): ...


def charge(amount: int) -> None:
    raise Declined(f"no money for {amount}")


def caught(action: Callable[..., object], *args: object) -> BaseException:
    with pytest.raises(BaseException) as info:  # noqa: PT011 - any error is meant
        action(*args)
    return info.value


def test_type_message_and_place() -> None:
    failure = failure_of(caught(charge, 5))
    assert (failure.type, failure.message, failure.attempts, failure.cause) == ("Declined", "no money for 5", 0, None)
    frames = failure.stack.splitlines()
    assert frames[-1].endswith(", in charge")
    assert f"{__file__}:" in frames[-1]


async def test_the_machinery_is_not_in_the_stack() -> None:
    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.wait_for(asyncio.to_thread(charge, 1), 5))

    with pytest.raises(ExceptionGroup) as info:
        await work()
    failure = failure_of(info.value)
    assert failure.type == "ExceptionGroup"
    assert failure.cause is not None
    assert (failure.cause.type, failure.cause.message) == ("Declined", "no money for 1")
    assert "asyncio" not in failure.stack + failure.cause.stack
    assert "in charge" in failure.cause.stack


def test_causes_are_a_chain_of_limited_length() -> None:
    def chained(depth: int) -> None:
        try:
            if depth == 0:
                charge(0)
            chained(depth - 1)
        except Exception as error:
            raise ValueError(str(depth)) from error

    failure: Failure | None = failure_of(caught(chained, 20))
    messages: list[str] = []
    while failure is not None:
        messages.append(failure.message)
        failure = failure.cause
    assert messages == [str(depth) for depth in range(20, 12, -1)]


def test_context_counts_unless_suppressed() -> None:
    def during(suppress: bool) -> None:
        try:
            charge(1)
        except Declined:
            if suppress:
                raise KeyError("x") from None
            raise KeyError("x")  # noqa: B904 - an implicit context is what this is about

    implicit = failure_of(caught(during, False))
    assert implicit.cause is not None
    assert implicit.cause.type == "Declined"
    assert failure_of(caught(during, True)).cause is None


def test_a_failed_call_hands_on_the_original() -> None:
    original = Failure("Declined", "no money", "shop.py:3, in charge", 3)
    failure = failure_of(ActivityFailed("charge", original))
    assert failure.type == "ActivityFailed"
    assert failure.message == "charge failed after 3 attempts: Declined: no money"
    assert failure.cause == original


def test_every_failure_can_be_stored() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    for error in (Mute(), ValueError("file \udcff"), ValueError("x" * 100_000)):
        message = ActivityFailure(seq=1, failure=failure_of(error))
        assert decode_message(encode(message)) == message
        assert len(encode(message)) < 6_000
    assert failure_of(ValueError("file \udcff")).message == r"file \udcff"
    assert "RuntimeError" in failure_of(Mute()).message
    assert json.loads(encode(ActivityFailure(seq=1, failure=failure_of(Mute()))))["failure"]["type"] == "Mute"


def test_many_levels_of_calls_keep_the_first_ones_and_the_root() -> None:
    failure = Failure("Declined", "no money")
    for level in range(20):
        failure = failure_of(SubOrchestrationFailed(f"level-{level}", failure))
    chain: list[Failure] = []
    link: Failure | None = failure
    while link is not None:
        chain.append(link)
        link = link.cause
    assert [link.message.partition(" ")[0] for link in chain[:-1]] == [f"level-{19 - place}" for place in range(7)]
    assert chain[-1] == Failure("Declined", "no money")
    assert len(chain) == 8
