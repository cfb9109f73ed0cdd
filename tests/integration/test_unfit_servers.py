"""Servers that are down, too old, or unfit to keep anything: what clients, workers and commands say of them."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from redis.exceptions import ResponseError
from typer.testing import CliRunner, Result

from redurable import App, Client, OrchestrationContext, StoreFull, StoreRefused, StoreUnavailable, Worker
from redurable.cli import main
from redurable.settings import WorkerSettings
from redurable.store.redis.lane import store_error
from tests.support.pretender import pretending
from tests.support.servers import Server

app = App("unfit")
QUICK = WorkerSettings(retry_min_ms=5, retry_max_ms=50)


@app.orchestrator
async def hello(ctx: OrchestrationContext, name: str) -> str:
    return f"Hello {name}"


def command(*words: str, redis: str, hub: str = "orders", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main.app, [*words, "--redis", redis, "--hub", hub], env=env)


def assert_one_line(result: Result, *parts: str) -> None:
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1, result.stderr
    assert all(part in result.stderr for part in ("redurable: ", *parts)), result.stderr


def tell(server: Server, *words: str) -> Any:
    """What another program does there."""
    with server.client() as client:
        foreign: Any = client
        return foreign.execute_command(*words)


def keys(server: Server, pattern: str) -> list[bytes]:
    return tell(server, "KEYS", pattern)


async def assert_refused(url: str, why: str) -> None:
    """By a client and by a worker, at once."""
    with anyio.fail_after(20):
        with pytest.raises(StoreRefused, match=why):
            await Client(url, hub="orders").__aenter__()
        with pytest.raises(StoreRefused, match=why):
            await Worker(app, url, hub="orders").__aenter__()


OLD = [
    ({"redis_version": "6.2.14"}, "the server is Redis 6.2.14: use Redis 7.0 or newer"),
    ({"redis_version": "5.0.0"}, "the server is Redis 5.0.0: use Redis 7.0 or newer"),
    ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, "the server is Valkey 7.1.9: use Valkey 7.2 or newer"),
    ({"redis_version": ""}, r"the server is Redis \?: use Redis 7.0 or newer"),
]


@pytest.mark.parametrize(("facts", "why"), OLD)
async def test_a_server_that_is_too_old_is_asked_for_nothing_else(facts: dict[str, str], why: str) -> None:
    with pretending(**facts) as (url, asked):
        await assert_refused(url, why)
    assert set(asked) <= {b"PING", b"INFO", b"CLIENT", b"SELECT"}


def test_a_server_that_is_too_old_is_one_line() -> None:
    with pretending(redis_version="6.0.16") as (url, _):
        for words in (("status", "one"), ("start", "hello")):
            assert_one_line(command(*words, redis=url), "the server is Redis 6.0.16: use Redis 7.0 or newer")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
async def test_a_server_that_may_evict_keys(own: Callable[..., Server], policy: str) -> None:
    evicting = own("--maxmemory", "100mb", "--maxmemory-policy", policy)
    await assert_refused(evicting.url, f"maxmemory-policy is {policy}, which throws stored state away: set it to noev")
    assert keys(evicting, "*") == []


async def test_a_replica(own: Callable[..., Server]) -> None:
    await assert_refused(own("--replicaof", "127.0.0.1 1").url, "the server is a replica: connect to the primary")


async def test_a_server_that_wants_a_password(own: Callable[..., Server]) -> None:
    closed = own()
    tell(closed, "CONFIG", "SET", "requirepass", "secret")
    await assert_refused(closed.url, "wants other credentials: check user and password in the store's address")
    wrong = f"unix://:guess@{closed.socket}"
    await assert_refused(wrong, "wants other credentials")
    result = await anyio.to_thread.run_sync(lambda: command("status", "one", redis=wrong))
    assert_one_line(result, "check user and password in the store's address")
    assert "guess" not in result.stderr
    async with Client(f"unix://:secret@{closed.socket}", hub="orders") as client:
        await client.start(hello, "Ada", instance_id="one")


async def test_a_server_that_wants_a_password_from_now_on(own: Callable[..., Server]) -> None:
    closing = own()
    async with Client(closing.url, hub="orders") as client:
        await client.start(hello, "Ada", instance_id="one")
        with closing.client() as known:
            foreign: Any = known
            foreign.execute_command("CONFIG", "SET", "requirepass", "secret")
            foreign.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(StoreRefused, match="wants other credentials") as refused:
            await client.start(hello, "Grace")
        assert type(refused.value) is StoreRefused


def test_a_read_that_a_failover_ended_is_one_without_answer() -> None:
    said = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
    assert type(store_error(ResponseError(said))) is StoreUnavailable


async def test_a_server_without_room_tells_clients_at_once(own: Callable[..., Server]) -> None:
    full = own("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    async with Client(full.url, hub="orders", timeout=3_600) as client:
        with anyio.fail_after(20), pytest.raises(StoreFull, match="out of memory: raise its maxmemory, or purge finis"):
            await client.start(hello, "Ada")
    begin = time.monotonic()
    result = await anyio.to_thread.run_sync(lambda: command("start", "hello", "--input", '"Ada"', redis=full.url))
    assert_one_line(result, "out of memory")
    assert time.monotonic() - begin < 5  # The patience of a command.


async def test_a_server_that_turns_into_a_replica_amid_work(own: Callable[..., Server]) -> None:
    turning = own()
    async with Client(turning.url, hub="orders", timeout=0.1) as client:
        await client.start(hello, "Ada", instance_id="one")
        tell(turning, "REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="read-only replica: if this lasts beyond a failover, connect to"):
            await client.start(hello, "Grace")


async def test_a_worker_waits_for_a_server_that_is_down_at_its_start(
    own: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    down = own()
    down.kill()
    worker = Worker(app, down.url, hub="orders", settings=QUICK)
    with caplog.at_level(logging.WARNING):
        opening = asyncio.get_running_loop().create_task(worker.__aenter__())
        with anyio.fail_after(20):
            while not caplog.messages:  # noqa: ASYNC110 - the log has no event to wait for
                await anyio.sleep(0.01)
            assert not opening.done()
            await anyio.to_thread.run_sync(down.run)
            await opening
    (line,) = caplog.messages
    assert line.startswith(f"the store at {down.url} does not answer (")
    task = asyncio.get_running_loop().create_task(worker.run())
    async with Client(down.url, hub="orders") as client:
        assert await (await client.start(hello, "Ada")).result(timeout=10) == "Hello Ada"
    worker.stop()
    await task
    await worker.__aexit__(None, None, None)


async def test_a_worker_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    worker = Worker(app, f"unix://{tmp_path}/nobody", hub="orders", settings=QUICK)
    with anyio.move_on_after(0.05) as scope:
        await worker.__aenter__()
    assert scope.cancelled_caught


def test_nobody_listens_is_one_line_within_seconds() -> None:
    begin = time.monotonic()
    with socket.socket() as silent:  # It keeps the port from others.
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        result = command("status", "one", redis=f"redis://127.0.0.1:{port}")
    assert_one_line(result, f"redis://127.0.0.1:{port} did not serve within 5 s; check that the server runs")
    assert time.monotonic() - begin < 20


def test_a_host_that_does_not_exist_is_one_line_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # Name servers that are away would take their own time.
    begin = time.monotonic()
    result = command("history", "one", redis="redis://no-such-host.invalid:6379")
    assert_one_line(result, "redis://no-such-host.invalid:6379 did not serve within 5 s")
    assert time.monotonic() - begin < 20


READING = [
    ("status", "one"),
    ("history", "one"),
    ("result", "one"),
    ("raise-event", "one", "Go"),
    ("terminate", "one"),
    ("suspend", "one"),
    ("resume", "one"),
    ("purge", "one"),
    ("key", "one"),
]


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_mistyped_hub_is_named_and_not_created(server: Server, hub: str, words: tuple[str, ...]) -> None:
    result = command(*words, redis=server.url, hub=hub)
    assert_one_line(result, f"no hub '{hub}' at {server.url}: check the hub's name and the store's address; a hub is")
    assert keys(server, f"*{hub}*") == []


def test_start_creates_the_hub(server: Server, hub: str) -> None:
    assert command("start", "hello", "--id", "one", redis=server.url, hub=hub).exit_code == 0
    status = command("status", "one", redis=server.url, hub=hub)
    assert (status.exit_code, "Pending" in status.stdout) == (0, True)
    assert command("key", "one", redis=server.url, hub=hub).stdout.endswith(":m:one\n")


def test_a_payload_over_the_limit_is_one_line(server: Server, hub: str) -> None:
    small = {"REDURABLE_MAX_PAYLOAD_BYTES": "10"}
    words = ("start", "hello", "--id", "one", "--input", '"12345678901"')
    result = command(*words, redis=server.url, hub=hub, env=small)
    assert_one_line(result, "orchestrator 'hello': 13 bytes of input are more than max_payload_bytes")
    assert keys(server, f"*{hub}*") == []
    command("start", "hello", "--id", "one", redis=server.url, hub=hub)
    event = command("raise-event", "one", "Go", "--data", '"12345678901"', redis=server.url, hub=hub, env=small)
    assert_one_line(event, "event 'Go': 13 bytes of data are more than max_payload_bytes")
