"""Activities in other programs, by whole workers on real servers: redis-py and plain commands play the program."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import anyio.to_thread
import pytest

from redurable import ActivityFailed, App, Client, OrchestrationContext, RetryPolicy, StartToCloseTimeout, Worker
from redurable.core.events import ActivityCompleted
from redurable.core.events import ActivityFailed as ActivityFailedEvent
from redurable.core.traces import span_id
from redurable.facts import ActivityAttempted, DeadLettered, LeasesReclaimed, MessagesRelayed
from redurable.settings import WorkerSettings
from redurable.store.redis.store import RedisStore
from redurable.telemetry.tracing import instrument
from tests.support.foreign_worker import ForeignWorker, Taken
from tests.support.leftovers import assert_clean
from tests.support.processes import CHECKOUT, until
from tests.support.redis_state import letters
from tests.support.servers import Server
from tests.support.spans import Exported
from tests.support.working import working

LEASE_MS = 2_500
QUICK = WorkerSettings(
    instance_lease_ms=2_000, task_lease_ms=30_000, renew_every_ms=50, reclaim_every_ms=50, heartbeat_every_ms=50
)
"""A foreign worker that does not renew has plenty of time, also on a busy machine."""
IMPATIENT = QUICK.model_copy(update={"task_lease_ms": LEASE_MS})
impatient = pytest.mark.parametrize("settings", [IMPATIENT], ids=["impatient"])
"""For tests of leases that run out."""
MOMENT = timedelta(milliseconds=20)

app = App("pictures", default_retry=RetryPolicy(max_attempts=3, initial_interval=MOMENT, non_retryable=["NoPicture"]))


@app.activity(task_queue="node")
async def resize(url: str, width: int = 100) -> dict[str, Any]:
    raise NotImplementedError("runs in another program")


@app.orchestrator
async def thumbnail(ctx: OrchestrationContext, url: str) -> object:
    try:
        return await ctx.call_activity(resize, url, width=2**60)
    except StartToCloseTimeout as error:
        return f"took too long, {error.attempts} attempts"
    except ActivityFailed as error:
        return f"{error.type}: {error.message} after {error.attempts}"


class Crew:
    """Python workers that take turns and know the activity by name only; a client; facts of the first worker."""

    def __init__(self, store: RedisStore, client: Client, server: Server, stack: ExitStack) -> None:
        self.store = store
        self.client = client
        self.server = server
        self.facts: list[Any] = []
        self._stack = stack

    async def foreign(self, name: str = "node-1") -> ForeignWorker:
        redis = self._stack.enter_context(self.server.client())
        return await anyio.to_thread.run_sync(ForeignWorker, redis, self.store.hub, "node", name)

    def heard(self) -> int:
        return sum(fact.count for fact in self.facts if isinstance(fact, MessagesRelayed) and fact.via == "answers")

    def attempts(self) -> list[str]:
        return [fact.outcome for fact in self.facts if isinstance(fact, ActivityAttempted)]


@pytest.fixture
def settings() -> WorkerSettings:
    return QUICK


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes the connections of the foreign workers."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def crew(
    server: Server, hub: str, store: RedisStore, settings: WorkerSettings, stack: ExitStack
) -> AsyncIterator[Crew]:
    async with Client.from_store(store) as client:
        crew = Crew(store, client, server, stack)
        worker = Worker(app, server.url, hub=hub, settings=settings, task_queues={"default"})
        worker.facts.subscribe(crew.facts.append)
        async with working(worker):
            yield crew
            await assert_clean(store)


async def in_thread(call: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    return await anyio.to_thread.run_sync(lambda: call(*args, **fields))


async def test_a_foreign_worker_does_the_work(crew: Crew) -> None:
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    taken: Taken = await in_thread(node.take)
    assert taken.task["type"] == "Task"
    assert (taken.task["name"], taken.task["call"]) == ("resize", {"args": ["a.png"], "kwargs": {"width": 2**60}})
    assert (taken.task["instance"], taken.task["options"]["task_queue"]) == ("one", "node")
    node.say("complete", taken, result='{"bytes": 1152921504606846977}')
    node.say("complete", taken, result='{"bytes": 2}')
    assert await handle.result(timeout=10) == {"bytes": 1152921504606846977}
    (completed,) = [row for row in await crew.client.get_history("one") if isinstance(row, ActivityCompleted)]
    assert (completed.worker, completed.attempts) == ("node-1", 1)
    await until(lambda: crew.attempts() == ["ok", "lost"], "both answers are dealt with")
    await until(lambda: crew.heard() == 2, "both were counted")


async def test_a_failure_is_tried_again_and_the_next_attempt_knows_what_was_said(crew: Crew) -> None:
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    first: Taken = await in_thread(node.take)
    node.say("heartbeat", first, details='{"line":7}')
    node.say("fail", first, error="Busy", message="try later", **{"retry-after": "30"})
    second: Taken = await in_thread(node.take)
    assert (second.task["attempt"], second.task["heartbeat"]) == (2, {"line": 7})
    (log,) = second.task["log"]
    assert (log["worker"], log["failure"]["type"], log["failure"]["message"]) == ("node-1", "Busy", "try later")
    node.say("fail", second, error="NoPicture", message="it is a text", stack="at resize (a.js:1)")
    assert await handle.result(timeout=10) == "NoPicture: it is a text after 2"
    (failed,) = [row for row in await crew.client.get_history("one") if isinstance(row, ActivityFailedEvent)]
    assert failed.failure.stack == "at resize (a.js:1)"
    await until(lambda: crew.attempts() == ["error", "non_retryable"], "both answers are dealt with")


async def test_an_attempt_that_took_too_long_is_said_to_have_timed_out(crew: Crew) -> None:
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    node.say("fail", await in_thread(node.take), error="StartToCloseTimeout", message="over 5 s", final="1")
    assert await handle.result(timeout=10) == "took too long, 1 attempts"


@impatient
async def test_a_foreign_worker_that_is_killed_has_crashed(crew: Crew, hub: str) -> None:
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    with _program(crew.server, hub) as program:
        await in_thread(program.stdout.readline)
        program.kill()
        program.wait(10)
    node = await crew.foreign("node-2")
    second: Taken = await in_thread(node.take)
    (log,) = second.task["log"]
    assert (second.task["attempt"], log["outcome"], log["worker"]) == (2, "crashed", "doomed")
    node.say("complete", second, result='{"bytes":1}')
    assert await handle.result(timeout=10) == {"bytes": 1}
    await until(lambda: crew.attempts() == ["crashed", "ok"], "both attempts are told of")
    assert [fact.count for fact in crew.facts if isinstance(fact, LeasesReclaimed) and fact.kind == "task"] == [1]


@contextmanager
def _program(server: Server, hub: str) -> Generator[Any]:
    command = [sys.executable, "-m", "tests.support.foreign_worker", str(server.socket), hub, "node", "doomed"]
    program = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)
    with program:
        try:
            yield program
        finally:
            program.kill()


@impatient
@pytest.mark.parametrize("how", ["claim", "heartbeat"])
async def test_who_renews_keeps_its_task(crew: Crew, how: str) -> None:
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    taken: Taken = await in_thread(node.take)
    end = asyncio.get_running_loop().time() + 1.5 * LEASE_MS / 1000
    while asyncio.get_running_loop().time() < end:
        if how == "claim":
            assert await in_thread(node.renew, taken)
        else:
            await in_thread(node.say, "heartbeat", taken)
        await anyio.sleep(LEASE_MS / 10_000)
    node.say("complete", taken, result='{"bytes":3}')
    assert await handle.result(timeout=10) == {"bytes": 3}
    await until(lambda: crew.attempts() == ["ok"], "the attempt is told of")


@impatient
async def test_who_is_too_late_changes_nothing_and_can_find_out(crew: Crew) -> None:
    slow = await crew.foreign("slow")
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    first: Taken = await in_thread(slow.take)
    quick = await crew.foreign("quick")
    second: Taken = await in_thread(quick.take)
    assert not await in_thread(slow.renew, first)
    slow.say("heartbeat", first, details="1")
    slow.say("complete", first, result='{"by":"slow"}')
    slow.say("complete", second, result='{"by":"slow"}')
    await until(lambda: crew.attempts() == ["crashed", "lost", "lost"], "both late answers are dealt with")
    quick.say("complete", second, result='{"by":"quick"}')
    assert await handle.result(timeout=10) == {"by": "quick"}


async def test_a_task_that_is_handed_back_goes_to_the_next_one_as_it_is(crew: Crew) -> None:
    one, two = await crew.foreign("one"), await crew.foreign("two")
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    one.say("hand-back", await in_thread(one.take), details='{"half":true}')
    taken: Taken = await in_thread(two.take)
    assert (taken.task.get("attempt", 1), taken.task["heartbeat"], taken.task.get("log")) == (1, {"half": True}, None)
    two.say("complete", taken, result="{}")
    assert await handle.result(timeout=10) == {}


async def test_an_activity_that_is_not_known_is_tried_later(crew: Crew) -> None:
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    began = asyncio.get_running_loop().time()
    node.say("refuse", await in_thread(node.take))
    taken: Taken = await in_thread(node.take)
    assert asyncio.get_running_loop().time() - began > 0.9
    assert taken.task.get("attempt", 1) == 1
    node.say("complete", taken, result="{}")
    assert await handle.result(timeout=10) == {}


async def test_a_cancelled_call_can_be_seen_and_given_up(crew: Crew) -> None:
    node = await crew.foreign()
    await crew.client.start(thumbnail, "a.png", instance_id="one")
    taken: Taken = await in_thread(node.take)
    call = json.dumps([taken.task["execution"], taken.task["seq"], "one"], separators=(",", ":"))
    canceled = taken.key.replace("tasks:node", "canceled")
    assert node.redis.zscore(canceled, call) is None
    await crew.client.cancel("one", "changed my mind")
    await until(lambda: node.redis.zscore(canceled, call) is not None, "the call is marked")
    assert await in_thread(node.renew, taken)
    node.say("fail", taken, error="Stopped", final="1")
    await until(lambda: crew.attempts() == ["non_retryable"], "the task has ended")
    assert (await crew.client.get_status("one")).runtime_status == "Canceled"


async def test_many_answers_count_once_whoever_reads_them(crew: Crew, server: Server, hub: str) -> None:
    """Two workers, whose partitions change hands while they read, and every answer is written twice."""
    node = await crew.foreign()
    handles = [await crew.client.start(thumbnail, "a.png", instance_id=f"many-{n}") for n in range(60)]
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            taken = node.look(50)
            for _ in range(2 if taken else 0):
                assert taken is not None
                node.say("complete", taken, result=json.dumps({"of": taken.task["instance"]}))

    async with Worker(app, server.url, hub=hub, settings=QUICK, task_queues={"default"}) as second:
        running = asyncio.create_task(second.run())
        working = asyncio.create_task(in_thread(work))
        try:
            await handles[20].result(timeout=20)
            second.stop()
            await running
            for n, handle in enumerate(handles):
                assert await handle.result(timeout=20) == {"of": f"many-{n}"}
        finally:
            done.set()
            await working
    for n in range(60):
        history = await crew.client.get_history(f"many-{n}")
        assert sum(isinstance(row, ActivityCompleted) for row in history) == 1


async def test_nonsense_is_a_dead_letter_and_holds_up_nobody(crew: Crew) -> None:
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    taken: Taken = await in_thread(node.take)
    answers = taken.key.replace("tasks:node", "answers")
    node.say("complete", taken, result="{")
    node.say("fail", taken, **{"retry-after": "soon"})
    node.redis.xadd(answers, {"hello": "world"})
    node.redis.xadd(answers, {"complete": taken.id, "fail": taken.id, "queue": "node", "worker": "node-1"})

    async def told() -> bool:
        assert await in_thread(node.renew, taken)
        return len(await letters(crew.store)) == 4

    await until(told, "all are dead letters")
    await until(lambda: sum(f.count for f in crew.facts if isinstance(f, DeadLettered)) == 4, "and counted")
    reasons = [letter[b"reason"].decode() for letter in await letters(crew.store)]
    assert reasons[0].startswith("field 'result' is not JSON")
    assert reasons[1] == "field 'retry-after' is b'soon': send milliseconds, at most 315360000000"
    assert reasons[2].startswith("fields [hello]: an answer has exactly one of complete, fail")
    assert reasons[3].startswith("fields [complete, fail, queue, worker]: an answer has exactly one of")
    node.say("complete", taken, result="{}")
    assert await handle.result(timeout=10) == {}
    await crew.store.lane.call("DEL", crew.store.layout.hub.dead)


async def test_another_program_that_ruins_the_answers_of_a_partition_stops_no_other(crew: Crew) -> None:
    node = await crew.foreign()
    ruined = (crew.store.layout.of("one").number + 1) % 4
    key = crew.store.layout.partition(ruined).answers
    await crew.store.lane.call("SET", key, "mine")
    outbox = crew.store.layout.partition((ruined + 1) % 4).outbox
    await crew.store.lane.call("SET", outbox, "mine, too")
    unburied = crew.store.layout.partition((ruined + 1) % 4).answers
    node.redis.xadd(unburied, {"hello": "world"})
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    node.say("complete", await in_thread(node.take), result="{}")
    assert await handle.result(timeout=10) == {}
    await crew.store.lane.call("DEL", key, outbox)

    async def told() -> bool:
        return len(await letters(crew.store)) == 1 and not await crew.store.lane.call("XLEN", unburied)

    await until(told, "what could not be buried is buried")
    await crew.store.lane.call("DEL", crew.store.layout.hub.dead)


async def test_the_trace_reaches_a_foreign_worker(crew: Crew) -> None:
    exported = Exported()
    instrument(crew.client, provider=exported.provider)
    node = await crew.foreign()
    handle = await crew.client.start(thumbnail, "a.png", instance_id="one")
    taken: Taken = await in_thread(node.take)
    made = exported.one("create_orchestration:thumbnail")
    assert list(taken.task["trace"]) == ["traceparent"]
    assert taken.task["trace"]["traceparent"].startswith(f"00-{made.trace}-{span_id(handle.execution)}-")
    node.say("complete", taken, result="{}")
    assert await handle.result(timeout=10) == {}
