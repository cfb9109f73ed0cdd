"""Attempts that somebody else completes, and where the calls of an instance stand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from redurable.core.completion import Completion, hold
from redurable.core.messages import ActivityFailure, ActivityResult, Terminate
from redurable.core.tokens import Token, write_token
from redurable.core.values import (
    ABSENT,
    ActivityOptions,
    Attempt,
    Ending,
    Failure,
    Retry,
    RuntimeStatus,
    Task,
    Timeouts,
)
from redurable.store.inspect import Underway
from redurable.store.port import Hub, TaskEnd, TaskLease
from redurable.store.routing import Routed
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

HOUR_MS = 3_600_000
DONE = Raw(b'{"paid":12345678901234567890}')
BROKEN = Failure("Broken", "it broke")


class TestTokens:
    async def test_a_held_attempt_is_completed_once(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store)
        assert await store.settle(Completion(token, result=DONE)) is True
        assert await store.settle(Completion(token, result=DONE)) is False
        (message,) = scenes.said(await scenes.take(store))
        assert message == ActivityResult(execution="x1", seq=1, result=DONE, attempts=1, worker="w1", started=5)
        assert (await store.upcoming(scenes.everywhere(store), 2**45, 10)).timers == ()
        assert await store.underway("one", "x1", [(1, "default")]) == [None]

    async def test_only_one_of_many_completes_it(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        token = await _held(one)
        said = [Completion(token, result=DONE), Completion(token, failure=BROKEN, final=True)] * 2
        done = await scenes.together(
            *[
                lambda say=say, store=store: store.settle(say)
                for say, store in zip(said, (one, two, two, one), strict=True)
            ]
        )
        assert sorted(done) == [False, False, False, True]
        assert len(scenes.said(await scenes.take(one))) == 1

    async def test_it_may_be_completed_before_its_function_has_returned(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        token = _token(store, lease)
        for entry in (
            f"{lease.id}0",
            f"{lease.id.partition('-')[0]} ",
            f"0{lease.id}",
            "9" * 30,
            "-",
            "+",
            "",
            "(0-0",
            "$",
        ):
            forged = msgspec.structs.replace(token, entry=entry)
            assert await store.settle(Completion(forged, result=DONE)) is False, entry
        for other in ({"attempt": 2}, {"seq": 2}):
            forged = msgspec.structs.replace(token, **other)
            assert await store.settle(Completion(forged, result=DONE)) is False, other
        assert await store.settle(Completion(token, details=DONE)) is True
        assert await store.settle(Completion(_token(store, lease), result=DONE)) is True
        assert (await store.complete([_left_open(lease)], [None])).accepted == (False,)
        assert (await store.renew([], [lease])).tasks == (lease,)
        assert [message.result for message in scenes.results(await scenes.take(store))] == [DONE]
        assert (await store.upcoming(scenes.everywhere(store), 2**45, 10)).timers == ()

    async def test_a_sign_of_life_for_an_execution_that_is_over_is_late(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        token = _token(store, lease)
        await scenes.send(store, "one", Terminate())
        ended = scenes.turn(await scenes.take(store), "end", status=RuntimeStatus.TERMINATED)
        await scenes.accept(store, ended)
        assert await store.settle(Completion(token, details=DONE)) is False
        assert await store.settle(Completion(token, result=DONE)) is False

    async def test_a_failure_follows_the_policy(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store, retry=Retry(max_attempts=2, initial_ms=HOUR_MS), heartbeat=DONE)
        assert await store.settle(Completion(token, failure=BROKEN, wait_ms=0)) is True
        (again,) = await store.receive_tasks(scenes.demand(), 0)
        assert (again.task.attempt, again.task.held, again.task.heartbeat) == (2, None, DONE)
        (attempt,) = again.task.log
        assert (attempt.number, attempt.outcome, attempt.worker, attempt.started) == (1, Ending.FAILED, "w1", 5)
        assert await store.settle(Completion(token, failure=BROKEN)) is False
        assert await store.settle(Completion(_token(store, again), failure=BROKEN)) is True
        (message,) = scenes.said(await scenes.take(store))
        assert isinstance(message, ActivityFailure)
        assert (message.failure.type, message.failure.attempts, message.log) == ("Broken", 2, (attempt,))

    async def test_the_next_attempt_finds_the_details_that_were_stored(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        patient = ActivityOptions(retry=Retry(max_attempts=2))
        (lease,) = await scenes.with_tasks(store, msgspec.structs.replace(scenes.task(), options=patient))
        await store.renew([], [msgspec.structs.replace(lease, heartbeat=DONE)])
        assert await store.settle(Completion(_token(store, lease), failure=BROKEN, wait_ms=0)) is True
        (again,) = await store.receive_tasks(scenes.demand(), 0)
        assert (again.task.attempt, again.task.heartbeat) == (2, DONE)

    async def test_a_retry_waits_as_long_as_the_policy_says(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store, retry=Retry(max_attempts=2, initial_ms=HOUR_MS))
        assert await store.settle(Completion(token, failure=BROKEN)) is True
        now = (await store.upcoming([0], 0, 1)).now
        (timer,) = (await store.upcoming(scenes.everywhere(store), 2 * HOUR_MS, 10)).timers
        assert now < timer.due <= now + HOUR_MS
        (there,) = await store.underway("one", "x1", [(1, "default")])
        assert there is not None
        assert (there.task.attempt, there.due, there.holder) == (2, timer.due, "")

    async def test_one_that_is_not_completed_in_time_comes_back(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store, start_to_close=1)
        await store_factory.advance(2)
        assert await scenes.fire(store) == 1
        (lease,) = await store.receive_tasks(scenes.demand(), 0)
        assert lease.task.held is not None
        assert (lease.task.held.key, lease.task.attempt) == (token.entry, 1)
        assert await store.settle(Completion(token, result=DONE)) is False

    async def test_a_sign_of_life_is_kept_and_gives_more_time(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store, heartbeat_timeout=HOUR_MS)
        (first,) = (await store.upcoming(scenes.everywhere(store), 2 * HOUR_MS, 10)).timers
        await store_factory.advance(2)
        assert await store.settle(Completion(token, details=DONE)) is True
        assert await store.settle(Completion(token)) is True
        (later,) = (await store.upcoming(scenes.everywhere(store), 2 * HOUR_MS, 10)).timers
        assert later.due > first.due
        (there,) = await store.underway("one", "x1", [(1, "default")])
        assert there is not None
        assert there.task.heartbeat == DONE
        assert await store.settle(Completion(token, result=DONE)) is True

    async def test_what_is_no_attempt_is_late(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store)
        change = msgspec.structs.replace
        for forged in (
            change(token, hub="other"),
            change(token, instance="two"),
            change(token, execution="x2"),
            change(token, seq=2),
            change(token, attempt=2),
            change(token, entry="9-9"),
            change(token, entry="nonsense"),
            change(token, queue="nowhere", entry="8-8"),
        ):
            assert await store.settle(Completion(forged, result=DONE)) is False, forged
        assert await scenes.receive(store) == []
        assert await store.settle(Completion(token, result=DONE)) is True

    async def test_one_that_nobody_has_received_is_not_completed(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await store.hand_back([], [lease])
        assert await store.settle(Completion(_token(store, lease), result=DONE)) is False
        assert len(await store.receive_tasks(scenes.demand(), 0)) == 1

    async def test_it_goes_with_its_call(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = await _held(store, start_to_close=HOUR_MS)
        await scenes.send(store, "one", scenes.event())
        await scenes.accept(store, scenes.turn(await scenes.take(store), "h2", scenes.raised(), closed_calls=(1,)))
        assert (await store.upcoming(scenes.everywhere(store), 2 * HOUR_MS, 10)).timers == ()
        assert await store.settle(Completion(token, result=DONE)) is False
        assert await store.underway("one", "x1", [(1, "default")]) == [None]

    async def test_what_is_left_open_of_an_execution_that_is_over_vanishes(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        left, failed = await scenes.with_tasks(store, scenes.task(), scenes.task(seq=2))
        await scenes.send(store, "one", Terminate())
        over = scenes.turn(await scenes.take(store), "h2", scenes.raised(), status=RuntimeStatus.TERMINATED)
        await scenes.accept(store, over)
        assert await store.settle(Completion(_token(store, left), result=DONE)) is False
        again = TaskEnd(failed, retry=msgspec.structs.replace(failed.task, attempt=2), delay_ms=HOUR_MS)
        assert (await store.complete([_left_open(left), again], [None, None])).accepted == (True, True)
        assert (await store.upcoming(scenes.everywhere(store), 2**45, 10)).timers == ()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({b"complete": b"", b"result": b'{"paid":1}'}, Raw(b'{"paid":1}')),
            ({b"complete": b""}, Raw(b"null")),
            ({b"fail": b"", b"error": b"Broken", b"message": b"it broke", b"final": b"1"}, BROKEN),
        ],
        ids=["result", "nothing", "failure"],
    )
    async def test_any_client_completes_it(
        self, store_factory: StoreFactory, fields: dict[bytes, bytes], message: Raw | Failure
    ) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        token = write_token(await _held(one)).encode()
        said = {name: value or token for name, value in fields.items()}
        await store_factory.xadd_intake({b"heartbeat": token, b"details": b"7"})
        await store_factory.xadd_intake(said)
        routed = await scenes.together(*[lambda store=store: store.route(10, 0) for store in (one, two)])
        assert [answer.dead for answer in routed] == [(), ()]
        (heard,) = scenes.said(await scenes.take(one))
        assert isinstance(heard, ActivityResult | ActivityFailure)
        if isinstance(heard, ActivityResult):
            assert (heard.result, heard.worker) == (message, "w1")
        else:
            assert msgspec.structs.replace(heard.failure, attempts=0) == message
        await scenes.drain(one)
        assert await store_factory.dead_letters() == []

    async def test_what_comes_too_late_by_the_intake_is_a_dead_letter(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        token = write_token(await _held(store)).encode()
        for _ in range(2):
            await store_factory.xadd_intake({b"complete": token, b"result": b"1"})
        await store_factory.xadd_intake({b"complete": b"rd1.nonsense", b"result": b"1"})
        assert await store.route(10, 0) == Routed(1, ("late", "malformed"))
        await scenes.drain(store)
        letters = {letter[b"complete"]: letter for letter in await store_factory.dead_letters()}
        assert b"under way" in letters[token][b"reason"]
        assert letters[token][b"instance"] == b"one"
        assert all(letter[b"position"] for letter in letters.values())
        assert b"rd1.nonsense" in letters[b"rd1.nonsense"][b"reason"]
        assert len(scenes.said(await scenes.take(store))) == 1


class TestUnderway:
    async def test_says_where_the_calls_of_an_instance_stand(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        tasks = [scenes.task(seq=seq, queue=queue) for seq, queue in ((1, "default"), (2, "default"), (3, "slow"))]
        held, failed = await _with_some(store, tasks)
        log = (Attempt(1, Ending.FAILED, "w1", 1, 2, BROKEN),)
        retry = msgspec.structs.replace(failed.task, attempt=2, log=log)
        (timer,) = (await store.complete([TaskEnd(failed, retry=retry, delay_ms=HOUR_MS)], [None])).timers
        calls = [(1, "default"), (2, "default"), (3, "slow"), (4, "default"), (3, "nowhere")]
        assert await store.underway("one", "x1", calls) == [
            Underway(held.task, holder="w1"),
            Underway(retry, due=timer.due),
            Underway(tasks[2]),
            None,
            None,
        ]
        assert await store.underway("one", "x2", calls) == [None] * 5
        assert await store.underway("none", "x1", calls) == [None] * 5


async def _with_some(store: Hub, tasks: list[Task]) -> list[TaskLease]:
    """The tasks lie in their queues; those of the default one are received."""
    await scenes.running(store, tasks=tuple(tasks))
    return sorted(await store.receive_tasks(scenes.demand(), 0), key=lambda lease: lease.task.seq)


async def _held(
    store: Hub, retry: Retry | None = None, heartbeat: Raw = ABSENT, heartbeat_timeout: int = 0, **timeouts: int
) -> Token:
    """The token of an attempt whose function has returned."""
    options = ActivityOptions(retry=retry or Retry(), timeouts=Timeouts(heartbeat=heartbeat_timeout, **timeouts))
    fields: dict[str, Any] = {"options": options, "heartbeat": heartbeat}
    (lease,) = await scenes.with_tasks(store, msgspec.structs.replace(scenes.task(), **fields))
    end = _left_open(lease, (await store.upcoming([0], 0, 1)).now)
    assert (await store.complete([end], [None])).accepted == (True,)
    return _token(store, lease)


def _left_open(lease: TaskLease, now: int = 10) -> TaskEnd:
    follows = hold(lease.task, lease.id, "w1", 5, now)
    limit = lease.task.options.timeouts.start_to_close
    return TaskEnd(lease, retry=follows.retry, delay_ms=limit or follows.delay_ms)


def _token(store: Hub, lease: TaskLease) -> Token:
    task = lease.task
    return Token(store.hub, task.instance, task.execution, task.seq, task.attempt, lease.queue, lease.id, "w1", 5)
