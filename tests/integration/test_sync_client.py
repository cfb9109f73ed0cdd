"""The blocking client on real servers, from one thread and from many, interrupted, closed and forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

import redurable
from redurable import (
    ActivityContext,
    App,
    InstanceAlreadyExists,
    InstanceNotFound,
    InvalidFilter,
    OrchestrationContext,
    OrchestrationFailed,
    RetryPolicy,
    StoreUnavailable,
    Worker,
)
from redurable.errors import CallerError
from redurable.sync import Client
from redurable.telemetry.tracing import instrument
from tests.support.servers import Server
from tests.support.spans import Exported

app = App("sync")
broken = threading.Event()
tokens: list[str] = []


@app.activity(retry=RetryPolicy(max_attempts=1))
def double(number: int) -> int:
    if broken.is_set():
        raise LookupError("out of numbers")
    return 2 * number


@app.activity
async def later() -> str:
    tokens.append(ActivityContext.current().complete_later())
    return ""


@app.orchestrator
async def twice(ctx: OrchestrationContext, number: int, *, plus: int = 0) -> int:
    return await ctx.call_activity(double, number) + plus


@app.orchestrator
async def approval(ctx: OrchestrationContext) -> object:
    return await ctx.wait_for_external_event("Approval")


@app.orchestrator
async def asks(ctx: OrchestrationContext) -> str:
    return await ctx.call_activity(later)


@pytest.fixture
def worked(server: Server, hub: str) -> Iterator[str]:
    """The address of a server on which a worker of this hub lives, in a thread of its own."""
    broken.clear()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Worker(app, server.url, hub=hub).running()),
    ):
        yield server.url


@pytest.fixture
def client(worked: str, hub: str) -> Iterator[Client]:
    with Client(worked, hub=hub) as client:
        yield client


def lingering() -> list[str]:
    """The threads of clients."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("redurable-client")]


def test_starts_results_and_events(client: Client) -> None:
    handle = client.start(twice.options(instance_id="one"), 4, plus=1)
    assert (handle.instance_id, handle.result(timeout=20)) == ("one", 9)
    assert client.get_handle("one", result_type=int).result(timeout=20) == 9
    with pytest.raises(InstanceAlreadyExists):
        client.start(twice, 1, instance_id="one")
    waiting = client.start(approval, instance_id="two")
    with pytest.raises(TimeoutError):
        waiting.result(timeout=0.01)
    client.raise_event("two", "Approval", {"by": "Ada"})
    assert waiting.result(timeout=20) == {"by": "Ada"}
    cancelled = client.start(approval, instance_id="three")
    cancelled.cancel("no")
    with pytest.raises(redurable.OrchestrationCanceled):
        cancelled.result(timeout=20)
    assert repr(cancelled) == "Handle('three')"
    status = client.get_status("one", show_history=True)
    assert (status.output, status.history is not None) == (9, True)
    assert client.get_history("one") == status.history
    assert [seen.output for seen in client.watch("one")] == [9]
    assert client.list_executions("one") == [handle.execution]


def test_tokens(client: Client) -> None:
    tokens.clear()
    handle = client.start(asks)
    while not tokens:
        with suppress(TimeoutError):
            handle.result(timeout=0.05)
    client.heartbeat_activity(tokens[0])
    client.complete_activity(tokens[0], "done")
    assert handle.result(timeout=20) == "done"


def test_operations(client: Client) -> None:
    client.start(approval, instance_id="one")
    client.suspend("one")
    client.resume("one")
    client.terminate("one", "enough")
    with pytest.raises(redurable.OrchestrationTerminated):
        client.get_handle("one").result(timeout=20)
    broken.set()
    failing = client.start(twice, 3, instance_id="two")
    with pytest.raises(OrchestrationFailed, match="out of numbers"):
        failing.result(timeout=20)
    broken.clear()
    client.rewind("two", "there are some")
    assert client.get_handle("two", result_type=int).result(timeout=20) == 6
    again = client.restart("two", as_new="three")
    assert (again.instance_id, again.result(timeout=20)) == ("three", 6)
    assert client.redrive(client.start(approval).instance_id) is False
    client.purge("two")
    with pytest.raises(InstanceNotFound):
        client.get_status("two")


def test_many_instances(client: Client) -> None:
    handles = [client.start(twice, number, instance_id=f"n-{number}") for number in range(5)]
    assert [handle.result(timeout=20) for handle in handles] == [0, 2, 4, 6, 8]
    found = client.list_instances(page_size=2, prefix="n-")
    assert sorted(status.instance_id for status in found) == [f"n-{number}" for number in range(5)]
    first = next(client.list_instances(page_size=1))  # The rest is dropped.
    assert first.name == "twice"
    page = client.list_page(limit=3)
    assert (len(page.instances), bool(page.continuation)) == (3, True)
    assert client.count_instances() == {("twice", "Completed"): 5}
    *each, total = client.bulk("purge", dry_run=True, prefix="n-")
    assert (len(each), total.matched, total.done) == (5, 5, 0)
    assert client.purge_instances(prefix="n-") == 5
    with pytest.raises(InvalidFilter):
        next(client.list_instances(status="Done"))


def test_the_hub(client: Client) -> None:
    client.ping()
    deadline = time.monotonic() + 20
    while not client.workers() and time.monotonic() < deadline:  # until the first heartbeat
        pass
    assert len(client.workers()) == 1
    assert list(client.list_dead_letters()) == []
    assert client.depths().ready.lag == 0


def test_many_threads_share_a_client(client: Client) -> None:
    def work(number: int) -> int:
        return client.start(twice, number).result(timeout=30)

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(100))) == [2 * number for number in range(100)]


async def test_where_an_event_loop_runs_it_says_so(server: Server, hub: str) -> None:
    client = Client(server.url, hub=hub)
    with pytest.raises(CallerError, match=r"use redurable\.Client, and await"):
        client.open()
    await anyio.to_thread.run_sync(client.open)
    with pytest.raises(CallerError, match="an event loop runs in this thread"):
        client.ping()
    await anyio.to_thread.run_sync(client.ping)
    await anyio.to_thread.run_sync(client.close)


def test_it_is_opened_and_closed_as_often_as_needed(server: Server, hub: str) -> None:
    client = Client(server.url, hub=hub)
    for call in (client.ping, lambda: client.get_handle("x"), lambda: next(client.list_instances())):
        with pytest.raises(CallerError, match="not open: use it inside"):
            call()
    client.close()
    for _ in range(2):
        assert client.open() is client.open()
        client.ping()
        client.close()
        assert not lingering()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        Client(f"unix://{tmp_path}/none", hub="h", timeout=0.1).open()
    assert not lingering()


def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Set when a wait for a result has begun, and when it was cancelled."""
    begun, cancelled = threading.Event(), threading.Event()

    async def result(self: Any, timeout: Any = None, follow: bool = True) -> Any:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    monkeypatch.setattr(redurable.Handle, "result", result)
    return begun, cancelled


def test_closing_ends_the_calls_of_other_threads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled = watched(monkeypatch)
    handle = client.start(approval)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(handle.result)
        assert begun.wait(20)
        client.close()
        with pytest.raises(CallerError, match="closed by another thread during this call"):
            waiting.result(20)
    assert cancelled.wait(20)
    with pytest.raises(CallerError, match="not open"):
        handle.cancel()


def test_an_interrupt_ends_the_wait_and_the_call_and_nothing_else(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, cancelled = watched(monkeypatch)
    handle = client.start(approval, instance_id="one")
    main = threading.get_ident()

    def press() -> None:
        begun.wait(20)
        signal.pthread_kill(main, signal.SIGINT)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(press)
        with pytest.raises(KeyboardInterrupt):
            handle.result(timeout=20)
    assert cancelled.wait(20)
    assert client.get_status("one").runtime_status in ("Pending", "Running")


FORKS = """
import os, sys
from redurable.errors import CallerError
from redurable.sync import Client

client = Client(sys.argv[1], hub=sys.argv[2]).open()
client.start("approval", instance_id="parent")
child = os.fork()
if child == 0:
    try:
        client.start("approval", instance_id="child")
    except CallerError as error:
        print("refused:", "is a fork of it" in str(error), flush=True)
    client.close()
    client.open().start("approval", instance_id="child")
    client.close()
    os._exit(0)
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(sorted(status.instance_id for status in client.list_instances()))
client.close()
"""


def test_a_fork_opens_it_anew(server: Server, hub: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, server.url, hub]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["refused: True", "child ended with 0", "['child', 'parent']"]


WAITS = """
import sys
from redurable.sync import Client

with Client(sys.argv[1], hub=sys.argv[2]) as client:
    handle = client.start("approval")
    print("waits", flush=True)
    handle.result()
"""
LEAVES = """
import sys
from redurable.sync import Client

client = Client(sys.argv[1], hub=sys.argv[2]).open()
client.start("approval")
"""


def test_a_script_ends_by_ctrl_c_and_without_closing(server: Server, hub: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS, server.url, hub], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "waits\n"
        os.kill(script.pid, signal.SIGINT)
        _, errors = script.communicate(timeout=20)
        assert script.returncode == -signal.SIGINT
        assert errors.splitlines()[-1] == "KeyboardInterrupt"
        assert errors.count("Traceback") == 1
    command = [sys.executable, "-c", LEAVES, server.url, hub]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_spans_of_the_caller_are_the_parents(server: Server, hub: str) -> None:
    exported = Exported()
    client = Client(server.url, hub=hub)
    instrument(client, provider=exported.provider)
    with client, exported.tracer.start_as_current_span("POST /orders") as span:
        client.start("approval")
    (made,) = [seen for seen in exported.spans if seen.name.startswith("create_orchestration")]
    assert made.parent == f"{span.get_span_context().span_id:016x}"


def test_attributes_need_no_connection() -> None:
    client = Client("memory://", hub="h")
    assert (client.hub, client.tracing, client.facts.listening) == ("h", None, False)
