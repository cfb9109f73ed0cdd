"""`redurable worker`: runs the code of an app until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Annotated, Literal

import anyio
import typer

from redurable import App, Worker
from redurable.authoring.http_calls import HTTP_ACTIVITY
from redurable.cli.command import Target, command
from redurable.cli.loading import load_app
from redurable.settings import TelemetrySettings
from redurable.telemetry.exporter import Exporter
from redurable.telemetry.health import Health
from redurable.telemetry.logs import log_fact, log_to_stderr
from redurable.telemetry.metrics import Metrics, Names
from redurable.telemetry.metrics.process import add_process
from redurable.worker.code import DEFAULT_QUEUE
from redurable.worker.process import settle_in

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

AppArgument = Annotated[str, typer.Argument(metavar="MODULE:APP", help="The app, for example orders:app.")]
RolesOption = Annotated[
    list[str] | None,
    typer.Option("--roles", metavar="ROLES", help="orchestrations or activities; without this option both."),
]
QueueOption = Annotated[
    list[str] | None,
    typer.Option("--task-queue", metavar="QUEUE", help="Serve only this task queue; may be repeated."),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", min=0, max=65535, help="Port of the metrics and the health probes (default 9464), 0: none."
    ),
]
FormatOption = Annotated[
    Literal["text", "json"] | None,
    typer.Option("--log-format", show_default=False, help="How log lines look (default text); json: an object a line."),
]
LevelOption = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None,
    typer.Option("--log-level", case_sensitive=False, help="The least important lines to write (default info)."),
]
TracingOption = Annotated[
    bool | None,
    typer.Option(
        "--tracing/--no-tracing", show_default=False, help="Make OpenTelemetry spans, as OTEL_… variables say."
    ),
]
StdinOption = Annotated[bool, typer.Option("--until-stdin-closes", hidden=True, help="End with the parent process.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "worker")(worker)


async def worker(
    target: Target,
    app: AppArgument,
    roles: RolesOption = None,
    task_queue: QueueOption = None,
    metrics_port: PortOption = None,
    log_format: FormatOption = None,
    log_level: LevelOption = None,
    tracing: TracingOption = None,
    until_stdin_closes: StdinOption = False,
) -> None:
    """Run the orchestrators and activities of an app.

    SIGTERM or SIGINT lets running work finish; a second one ends at once.
    """
    told, constants = _settings(log_format, log_level, tracing), dict[str, str]()
    log_to_stderr(told.log_level, told.log_format, constants)
    loaded = load_app(app)
    hub = target.hub or loaded.name
    queues = _words(task_queue)
    served = Worker(loaded, target.address, hub=hub, roles=_words(roles), task_queues=queues)
    constants.update(hub=hub, worker=served.id)
    served.facts.subscribe(log_fact)
    settle_in()
    with _traced(served) if told.tracing else nullcontext():
        await _serve_metrics(served, loaded, queues, metrics_port, until_stdin_closes)


async def _serve_metrics(
    served: Worker, loaded: App, queues: set[str] | None, metrics_port: int | None, until_stdin_closes: bool
) -> None:
    hub = served.hub
    ready = f"redurable worker is ready: process {os.getpid()}, hub {hub}"
    port = served.settings.metrics_port if metrics_port is None else metrics_port
    if port == 0:
        await _serve(served, ready, until_stdin_closes)
        return
    metrics, health = Metrics(hub, names_of(loaded, queues)), Health()
    add_process(metrics.registry)
    with Exporter(metrics.registry, port, health=health) as exporter:
        if exporter.port:  # Nobody hears of the hub from a worker whose port is taken: another one may tell.
            served.facts.subscribe(metrics, hub=True)
            served.facts.subscribe(health)
        async with anyio.create_task_group() as group:
            group.start_soon(health.beat)
            await _serve(served, f"{ready}, metrics on port {exporter.port or 'none'}", until_stdin_closes)
            group.cancel_scope.cancel()


@contextmanager
def _traced(served: Worker) -> Generator[None]:
    """Only here, because OpenTelemetry is optional."""
    from redurable.telemetry.exporting import exporting
    from redurable.telemetry.tracing import instrument

    with exporting():
        instrument(served)
        yield


def _settings(log_format: str | None, log_level: str | None, tracing: bool | None) -> TelemetrySettings:
    """Options count more than the environment."""
    given = {"log_format": log_format, "log_level": log_level, "tracing": tracing}
    return TelemetrySettings.model_validate({name: value for name, value in given.items() if value is not None})


async def _serve(served: Worker, ready: str, until_stdin_closes: bool) -> None:
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async with anyio.create_task_group() as group:
            opened = anyio.Event()
            group.start_soon(_obey, signals, served, opened, group.cancel_scope)
            async with served:
                opened.set()
                if until_stdin_closes:
                    group.start_soon(_stop_at_end_of_stdin, served)
                print(ready, flush=True)
                try:
                    await served.run()
                finally:  # The loop would wait at its end for what activities left in the threads of the other one.
                    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
            group.cancel_scope.cancel()


async def _obey(
    signals: AsyncIterator[signal.Signals], served: Worker, opened: anyio.Event, everything: anyio.CancelScope
) -> None:
    """The first signal drains the worker, or gives up its start; the second ends the process as it is."""
    heard = 0
    async for number in signals:
        heard += 1
        if heard > 1:
            sys.stderr.flush()
            os._exit(128 + number)
        if opened.is_set():
            served.stop()
        else:
            everything.cancel()


async def _stop_at_end_of_stdin(served: Worker) -> None:
    while True:
        await anyio.wait_readable(sys.stdin.fileno())
        if not os.read(sys.stdin.fileno(), 4096):
            served.stop()
            return


def names_of(app: App, queues: set[str] | None) -> Names:
    """The names that a worker of this app may use as label values; `queues` are those it was told to serve."""
    activities = app.registry.activities
    named = {definition.options.task_queue for definition in activities.values()} | {DEFAULT_QUEUE}
    return Names(
        frozenset(app.registry.orchestrators),
        frozenset({*activities, HTTP_ACTIVITY}),
        frozenset(named if queues is None else queues),
    )


def _words(options: list[str] | None) -> set[str] | None:
    return {word.strip() for option in options for word in option.split(",")} if options else None
