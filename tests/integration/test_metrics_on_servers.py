"""What a worker on a real server says of its connections, and what its port serves under load."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from urllib.request import urlopen

import anyio
import pytest

from redurable import App, Client, OrchestrationContext, RetryPolicy, Worker, WorkerSettings
from redurable.errors import StoreUnavailable
from redurable.store.redis.store import RedisStore, redis_store
from redurable.telemetry.exporter import Exporter
from redurable.telemetry.health import Health
from redurable.telemetry.metrics import Metrics, Names
from redurable.telemetry.metrics.process import add_process
from tests.support.processes import until
from tests.support.servers import Server

app = App("metered")
NAMES = Names(frozenset({"play"}), frozenset({"flaky"}), frozenset({"default"}))
QUICK = WorkerSettings(survey_every_ms=50, heartbeat_every_ms=50)
tries: dict[str, int] = {}


@app.activity(retry=RetryPolicy(initial_interval=timedelta(milliseconds=1)))
async def flaky(key: str) -> str:
    tries[key] = tries.get(key, 0) + 1
    if tries[key] == 1:
        raise ValueError("not yet")
    return key


@app.orchestrator
async def play(ctx: OrchestrationContext, left: int) -> str:
    if left:
        ctx.continue_as_new(left - 1)
    await ctx.create_timer(timedelta(milliseconds=1))
    return await ctx.call_activity(flaky, ctx.instance_id)


async def test_nothing_is_measured_before_somebody_asks(store: RedisStore) -> None:
    await store.upcoming([0], 0, 1)
    assert store.sample().calls == ()
    await store.upcoming([0], 0, 1)
    await store.served()
    await store.receive([0], 1, 1)
    sample = store.sample()
    assert {op for op, _ in sample.calls} == {
        "upcoming",
        "smembers",
        "take",
    }  # What blocks tells nothing of the server.
    assert all(0 < seconds < 5 for _, seconds in sample.calls)
    assert (sample.errors, sample.reconnects, sample.in_use) == ((), 0, 0)
    assert sample.idle >= 1
    assert store.sample().calls == ()


async def test_connections_that_are_lost_are_told_of() -> None:
    server = Server("valkey9")
    try:
        store = redis_store(server.url, "lost", consumer="w1")
        await store.open()
        store.sample()
        server.kill()
        with pytest.raises(StoreUnavailable):
            await store.served()
        assert store.sample().errors == (("smembers", "unavailable"),)
        server.run()
        await store.served()
        sample = store.sample()
        assert (sample.reconnects, [op for op, _ in sample.calls]) == (1, ["smembers"])
        await store.close()
    finally:
        server.stop()


async def test_a_worker_under_load_serves_what_promtool_likes(
    server: Server, hub: str, requires_tool: Callable[..., str]
) -> None:
    promtool = requires_tool("promtool", package="prometheus")
    metrics, health = Metrics(hub, NAMES), Health()
    add_process(metrics.registry)
    worker = Worker(app, server.url, hub=hub, settings=QUICK)
    worker.facts.subscribe(metrics, hub=True)
    worker.facts.subscribe(health)

    def value(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(f"redurable_{name}", {"hub": hub, **labels}) or 0

    with Exporter(metrics.registry, 0, "127.0.0.1", health) as exporter:
        url = f"http://127.0.0.1:{exporter.port}"
        async with worker.running(), Client(server.url, hub=hub) as client:
            handles = [await client.start(play.options(instance_id=f"{hub}-{number}"), 1) for number in range(8)]
            for handle in handles:
                await handle.result(timeout=20)
            await until(lambda: value("redis_command_duration_seconds_count", op="commit") > 0, "store samples")
            await until(lambda: value("timers_fired_total") >= 8, "timers")
            await until(lambda: value("stream_consumers", queue="_ready") == 1, "the hub")
            text = ""

            async def served() -> bool:
                nonlocal text
                text = await anyio.to_thread.run_sync(_read, f"{url}/metrics")
                return f'redurable_instances_open{{hub="{hub}",status="Running",type="play"}}' in text

            await until(served, "a sample of the hub that is not out of date")
            ready = json.loads(await anyio.to_thread.run_sync(_read, f"{url}/readyz"))
    assert ready["ok"]
    assert value("instances_started_total", type="play", trigger="continue_as_new") == 8
    assert value("instances_finished_total", type="play", status="Completed") == 8
    assert value("activity_retries_total", activity="flaky") == 8
    assert value("activity_failures_total", activity="flaky", error="ValueError") == 8
    assert value("messages_read_total", queue="default") == value("messages_acked_total", queue="default") == 16
    assert value("schedule_to_start_seconds_count", queue="_ready", kind="orchestrator") >= 24
    assert value("stream_consumers", queue="_ready") == 0  # Vanished with the worker.
    for line in ("process_cpu_seconds_total", "python_info", "redurable_stream_lag_messages"):
        assert line in text
    done = await anyio.run_process([promtool, "check", "metrics"], input=text.encode(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def _read(url: str) -> str:
    with urlopen(url, timeout=20) as answer:
        return answer.read().decode()
