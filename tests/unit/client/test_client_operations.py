"""Rewind, reset, restart and bulk operations of a client: what they raise, and what they do to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from redurable import (
    ActivityContext,
    App,
    BulkProgress,
    Client,
    InstanceAlreadyExists,
    InstanceNotFailed,
    InstanceNotFinished,
    InstanceNotFound,
    InvalidFilter,
    InvalidPayload,
    InvalidPosition,
    OrchestrationContext,
    OrchestrationFailed,
    RetryPolicy,
    RuntimeStatus,
    StoreDamaged,
)
from redurable.core.delivery import Outcome, Receipt, TurnCommit
from redurable.core.events import ExecutionReset, SubOrchestrationScheduled
from redurable.errors import StoreUnavailable
from redurable.store.memory import MemoryHub, MemoryStore
from redurable.store.port import Committed, TaskDemand
from redurable.testing import environment
from redurable.testing.environments import Environment

app = App("operations")
faults: set[str] = set()
keys: list[str] = []


@app.activity(retry=RetryPolicy(max_attempts=2, initial_interval=timedelta(seconds=1)))
async def work(name: str) -> str:
    keys.append(ActivityContext.current().idempotency_key)
    if name in faults:
        raise ValueError(name)
    return name


@app.orchestrator
async def kid(ctx: OrchestrationContext, name: str) -> str:
    return await ctx.call_activity(work, name)


@app.orchestrator
async def patient(ctx: OrchestrationContext, name: str) -> str:
    """Calls its child twice."""
    await ctx.call_activity(work, "first")
    policy = RetryPolicy(max_attempts=2, initial_interval=timedelta(seconds=1))
    return await ctx.call_sub_orchestrator(kid, name, retry=policy)


@app.orchestrator
async def job(ctx: OrchestrationContext, name: str, wait: bool = False) -> list[Any]:
    if wait:
        await ctx.wait_for_external_event("Go")
    return [dict(ctx.tags), ctx.memo, await ctx.call_activity(work, name)]


@pytest.fixture(autouse=True)
def nothing_is_broken() -> None:
    faults.clear()
    keys.clear()


async def fail(env: Environment, instance: str = "one", orchestrator: Any = job, **options: Any) -> None:
    faults.add("bad")
    await env.client.start(orchestrator.options(instance_id=instance, **options), "bad")
    await env.advance(timedelta(seconds=10))
    assert (await env.client.get_status(instance)).runtime_status is RuntimeStatus.FAILED


async def test_only_what_has_failed_is_rewound() -> None:
    async with environment(app) as env:
        with pytest.raises(InstanceNotFound):
            await env.client.rewind("one")
        handle = await env.client.start(job, "good", instance_id="one")
        with pytest.raises(InstanceNotFailed, match="'one' is Pending: only one that has failed") as pending:
            await env.client.rewind("one")
        assert pending.value.status is RuntimeStatus.PENDING
        await env.run_until_idle()
        assert (await handle.result())[2] == "good"
        with pytest.raises(InstanceNotFailed, match="is Completed"):
            await env.client.rewind("one")
        with pytest.raises(InvalidPayload):
            await env.client.rewind("one", "x" * 2_000_000)
        with pytest.raises(InvalidPayload):
            await env.client.reset("one", 0, "x" * 2_000_000)


async def test_a_rewound_call_has_all_its_attempts_again() -> None:
    async with environment(app) as env:
        await fail(env)
        for _ in range(2):
            await env.client.rewind("one")
            await env.advance(timedelta(seconds=10))
            with pytest.raises(OrchestrationFailed):
                await env.client.get_handle("one").result()
        # The code begins anew where nothing but the start would be kept: three executions, two attempts each.
        assert len(keys) == 6


async def test_the_retry_policy_of_a_child_begins_anew() -> None:
    async with environment(app) as env:
        await fail(env, orchestrator=patient)
        assert len(set(keys)) == 3
        await env.client.rewind("one")
        await env.advance(timedelta(seconds=10))
        history = await env.client.get_history("one")
        attempts = [event.instance for event in history if isinstance(event, SubOrchestrationScheduled)]
        assert (attempts[0], len(attempts)) == ("one:2", 2)
        faults.clear()
        await env.client.rewind("one")
        await env.advance(timedelta(seconds=10))
        assert await env.client.get_handle("one").result() == "bad"
        assert keys.count(keys[0]) == 1


async def test_a_child_that_chose_its_id_goes_on_from_its_last_attempt() -> None:
    @app.orchestrator(name="named")
    async def named(ctx: OrchestrationContext, name: str) -> str:
        policy = RetryPolicy(max_attempts=2, initial_interval=timedelta(seconds=1))
        return await ctx.call_sub_orchestrator(kid, name, instance_id="kid", retry=policy)

    async with environment(app) as env:
        await fail(env, orchestrator=named)
        faults.clear()
        await env.client.rewind("one")
        await env.run_until_idle()
        assert await env.client.get_handle("one").result() == "bad"
        assert (await env.client.get_status("kid")).runtime_status is RuntimeStatus.FAILED
        assert (await env.client.get_status("kid:2")).runtime_status is RuntimeStatus.COMPLETED


async def test_a_child_that_was_purged_is_started_again() -> None:
    async with environment(app) as env:
        await fail(env, orchestrator=patient)
        for child in ("one:2", "one:4"):
            await env.client.purge(child)
        faults.clear()
        await env.client.rewind("one")
        await env.run_until_idle()
        assert await env.client.get_handle("one").result() == "bad"
        assert (await env.client.get_status("one:2")).parent_instance_id == "one"


async def test_a_parent_whose_childs_id_another_instance_has_fails_again() -> None:
    @app.orchestrator(name="chooser")
    async def chooser(ctx: OrchestrationContext, name: str) -> str:
        return await ctx.call_sub_orchestrator(kid, name, instance_id="kid")

    async with environment(app) as env:
        await env.client.start(job, "good", True, instance_id="kid")
        await env.run_until_idle()
        handle = await env.client.start(chooser, "good", instance_id="one")
        for _ in range(2):
            await env.run_until_idle()
            with pytest.raises(OrchestrationFailed, match="InstanceAlreadyExists"):
                await handle.result()
            await env.client.rewind("one")
        await env.run_until_idle()
        await env.client.terminate("kid")
        await env.run_until_idle()
        await env.client.purge("kid")
        await env.client.rewind("one")
        await env.run_until_idle()
        assert await handle.result() == "good"


async def test_a_child_that_is_rewound_alone_harms_nobody() -> None:
    async with environment(app) as env:
        await fail(env, orchestrator=patient)
        faults.clear()
        await env.client.rewind("one:2")
        await env.run_until_idle()
        assert (await env.client.get_status("one:2")).runtime_status is RuntimeStatus.COMPLETED
        assert (await env.client.get_status("one")).runtime_status is RuntimeStatus.FAILED
        # Its parent hears of it when it is rewound itself: nothing runs again.
        before = list(keys)
        await env.client.rewind("one")
        await env.run_until_idle()
        assert await env.client.get_handle("one").result() == "bad"
        assert keys == before


async def test_a_reset_says_where_it_can_go() -> None:
    async with environment(app) as env:
        with pytest.raises(InstanceNotFound):
            await env.client.reset("one", 0)
        await env.client.start(job, "good", True, instance_id="one")
        with pytest.raises(InvalidPosition, match="no history yet"):
            await env.client.reset("one", 0)
        await env.run_until_idle()
        with pytest.raises(InvalidPosition, match=r"nearest are 0 \(ExecutionStarted\)"):
            await env.client.reset("one", 7)
        await env.client.raise_event("one", "Go")
        await env.run_until_idle()
        await env.client.reset("one", 3, "again")
        await env.run_until_idle()
        marks = [event for event in await env.client.get_history("one") if isinstance(event, ExecutionReset)]
        assert [mark.reason for mark in marks] == ["again"]
        assert len(keys) == 2
        assert len(set(keys)) == 1


async def test_without_events_it_waits_for_them_again() -> None:
    async with environment(app) as env:
        await env.client.start(job, "good", True, instance_id="one")
        await env.client.raise_event("one", "Go")
        await env.run_until_idle()
        await env.client.reset("one", 1, keep_events=False)
        await env.run_until_idle()
        status = await env.client.get_status("one")
        assert (status.runtime_status, status.unread_events) == (RuntimeStatus.RUNNING, {})


async def test_a_restart_is_as_the_start_was() -> None:
    async with environment(app) as env:
        options: dict[str, Any] = {"tags": {"a": "1"}, "memo": [1], "execution_timeout": timedelta(hours=1)}
        handle = await env.client.start(job.options(instance_id="one", **options), "good")
        await env.run_until_idle()
        expected = [{"a": "1"}, [1], "good"]
        assert await handle.result() == expected
        again = await env.client.restart("one")
        assert again.instance_id == "one"
        await env.run_until_idle()
        assert await again.result() == expected
        assert await env.client.list_executions("one") == [again.execution]
        other = await env.client.restart("one", as_new=True)
        named = await env.client.restart("one", as_new="two")
        await env.run_until_idle()
        assert await other.result() == await named.result() == expected
        assert (other.instance_id not in ("one", "two"), named.instance_id) == (True, "two")
        (started, *_) = await env.client.get_history("two")
        assert getattr(started, "deadline", 0) - started.at == 3_600_000


async def test_a_restart_under_the_same_id_needs_the_end_and_under_another_a_free_one() -> None:
    async with environment(app) as env:
        with pytest.raises(InstanceNotFound):
            await env.client.restart("one")
        await env.client.start(job, "good", True, instance_id="one")
        with pytest.raises(InstanceNotFinished, match="terminate it, or restart it as a new one"):
            await env.client.restart("one")
        await env.run_until_idle()
        with pytest.raises(InstanceAlreadyExists, match="choose another id"):
            await env.client.restart("one", as_new="one")
        await env.client.restart("one", as_new="two")


async def test_children_of_what_was_restarted_are_not_in_the_way() -> None:
    async with environment(app) as env:
        handle = await env.client.start(patient, "good", instance_id="one")
        await env.run_until_idle()
        assert await handle.result() == "good"
        again = await env.client.restart("one")
        await env.run_until_idle()
        assert await again.result() == "good"


async def _all(client: Client, operation: Any, **how: Any) -> list[BulkProgress]:
    return [progress async for progress in client.bulk(operation, **how)]


async def test_bulk_does_it_to_those_that_it_is_for() -> None:
    async with environment(app) as env:
        for number in range(25):
            await env.client.start(job, "good", number % 2 == 0, instance_id=f"i{number:02}")
        await env.run_until_idle()
        dry = await _all(env.client, "terminate", reason="enough", dry_run=True)
        assert dry[-1] == BulkProgress(13, 0, 0)
        assert [progress.matched for progress in dry[:-1]] == list(range(1, 14))
        assert await _all(env.client, "terminate", dry_run=True) == dry
        done = await _all(env.client, "terminate", reason="enough")
        assert [progress.instance_id for progress in done] == [progress.instance_id for progress in dry]
        assert done[-1] == BulkProgress(13, 13, 0)
        await env.run_until_idle()
        counts = await env.client.count_instances()
        assert counts == {("job", "Completed"): 12, ("job", "Terminated"): 13}
        assert (await _all(env.client, "purge", status="Terminated"))[-1] == BulkProgress(13, 13, 0)
        assert (await _all(env.client, "restart", prefix="i0"))[-1] == BulkProgress(5, 5, 0)
        assert await env.client.count_instances() == {("job", "Completed"): 7, ("job", "Pending"): 5}


async def test_bulk_rewinds_suspends_resumes_and_cancels() -> None:
    async with environment(app) as env:
        await fail(env)
        await fail(env, "two")
        faults.clear()
        assert (await _all(env.client, "rewind", reason="repaired"))[-1] == BulkProgress(2, 2, 0)
        await env.run_until_idle()
        assert await env.client.count_instances() == {("job", "Completed"): 2}
        await env.client.start(job, "good", True, instance_id="three")
        await env.run_until_idle()
        for operation, status in (("suspend", "Suspended"), ("resume", "Running"), ("cancel", "Canceled")):
            assert (await _all(env.client, operation))[-1] == BulkProgress(1, 1, 0)
            await env.run_until_idle()
            assert (await env.client.get_status("three")).runtime_status == status


async def test_bulk_refuses_what_cannot_be_meant() -> None:
    async with environment(app) as env:
        with pytest.raises(InvalidFilter, match="'rewind' is for instances that are Failed"):
            await _all(env.client, "rewind", status=["Completed", "Running"])
        with pytest.raises(InvalidFilter, match="there are terminate, cancel"):
            await _all(env.client, "delete")
        with pytest.raises(InvalidFilter, match="no such filter"):
            await _all(env.client, "purge", colour="red")


async def test_what_changes_meanwhile_is_left_alone_and_errors_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with environment(app) as env:
        for name in ("one", "two", "three"):
            await env.client.start(job, "good", instance_id=name)
        await env.run_until_idle()

        async def purge(self: Client, instance_id: str) -> None:
            if instance_id == "two":
                raise InstanceNotFound("it is gone")
            if instance_id == "one":
                raise InvalidPayload("no")

        monkeypatch.setattr(Client, "purge", purge)
        progress = await _all(env.client, "purge")
        assert progress[-1] == BulkProgress(3, 1, 1)
        assert {one.instance_id: one.error for one in progress[:-1]} == {"one": "no", "two": "it is gone", "three": ""}


class Busy(MemoryStore):
    """Answers commits with what it is told."""

    answers: tuple[Any, ...] = ()

    async def commit(self, commits: Any, demand: TaskDemand | None = None) -> Committed:
        answer, *rest = self.answers or (None,)
        self.answers = tuple(rest)
        if isinstance(answer, Receipt):
            return Committed((answer,))
        committed = await super().commit(commits, demand)
        if isinstance(answer, Exception):
            await self._go_on(commits[0])
            raise answer
        return committed

    async def _go_on(self, commit: TurnCommit) -> None:
        """A worker was faster than the answer."""
        record = self.state.of(commit.entry.instance).instances[commit.entry.instance]
        record.head = "another"


async def _busy(*answers: Any) -> Busy:
    from redurable.testing.conformance import rewinds

    store = Busy(MemoryHub("busy"), "w1")
    await store.open()
    await rewinds._failed(store)  # pyright: ignore[reportPrivateUsage]
    store.answers = answers
    return store


async def test_a_worker_that_was_faster_is_no_error() -> None:
    store = await _busy(Receipt(Outcome.FENCED), Receipt(Outcome.FENCED))
    async with Client.from_store(store) as client:
        await client.rewind("one")
        assert (await client.get_status("one")).runtime_status is RuntimeStatus.RUNNING


async def test_a_lost_answer_is_no_error_although_a_worker_has_gone_on() -> None:
    store = await _busy(StoreUnavailable("gone"))
    async with Client.from_store(store) as client:
        await client.rewind("one")
        assert len(await client.list_executions("one")) == 2


async def test_an_instance_that_never_stands_still_and_one_that_cannot_be_written_are_told_of() -> None:
    async with Client.from_store(await _busy(*[Receipt(Outcome.FENCED)] * 100)) as client:
        with pytest.raises(StoreUnavailable, match="moved 100 times"):
            await client.rewind("one")
    async with Client.from_store(await _busy(Receipt(Outcome.FAILED, "WRONGTYPE"))) as client:
        with pytest.raises(StoreDamaged, match="cannot be written: WRONGTYPE"):
            await client.rewind("one")
