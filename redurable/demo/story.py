"""The demo's script: an order is processed, its worker is killed inside an activity, another one finishes the work.

Everything is real: processes, signals, files, a server. What is claimed at the end is read from the effects file and
the store, not from what the script remembers to have done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio import to_thread
from msgspec import Struct

from redurable import Client
from redurable.core.events import ActivityCompleted, ActivityScheduled, HistoryRow, TimerFired
from redurable.demo.effects import Effect, read_effects
from redurable.demo.foreign import as_redis_cli, send_command
from redurable.demo.orders import BY_PHONE, Confirmation, Order, process_order
from redurable.demo.process import WorkerProcess
from redurable.demo.verdict import Evidence
from redurable.store.embedded import EmbeddedServer

INSTANCE = "order-42"
KILLED = f"reserve_line({BY_PHONE})"
EVENT = ("instance", INSTANCE, "event", "Approval", "data", "true", "id", "approval-1")
POLL_SECONDS = 0.05
STEP_SECONDS = 25.0
LINES = (
    {"article": "lamp", "quantity": 2, "unit_price": 4_900},
    {"article": BY_PHONE, "quantity": 1, "unit_price": 89_900},
    {"article": "chair", "quantity": 4, "unit_price": 12_500},
)

Say = Callable[[str], None]


class Story:
    """Tells numbered steps with the seconds since the beginning."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._begin = time.monotonic()
        self._steps = 0

    def tell(self, text: str, *more: str) -> None:
        """One step; `more` are lines that belong to it."""
        self._steps += 1
        self._say(f"[{time.monotonic() - self._begin:5.1f} s] {self._steps:2}. {text}")
        for line in more:
            self._say(" " * 14 + line)


class Told(Struct, frozen=True):
    """How the story ended: for a person the history, for the verdict the evidence."""

    history: list[HistoryRow]
    evidence: Evidence


async def tell(directory: Path, say: Say) -> Told:
    """Play the demo in an empty directory. Raises when a step does not come about."""
    story = Story(say)
    order_file = _write_order(directory)
    story.tell(f"Wrote an order of {len(LINES)} lines as JSON: {order_file}")
    server = EmbeddedServer(directory / "data")
    try:
        story.tell(f"Started a Valkey of its own, which appends to disk: {await server.ensure()}")
        async with Client(f"embedded:{server.directory}", hub="orders") as client:
            return await _Play(directory, server, client, story).all_acts(order_file)
    except BaseException:
        _show_logs(directory, say)
        raise
    finally:
        await server.stop()


class _Play:
    def __init__(self, directory: Path, server: EmbeddedServer, client: Client, story: Story) -> None:
        self._directory = directory
        self._server = server
        self._client = client
        self._tell = story.tell
        self._effects = directory / "effects.tsv"

    async def all_acts(self, order_file: Path) -> Told:
        first = await self._start_worker("A")
        try:
            await self._client.start(process_order, _read_order(order_file), instance_id=INSTANCE)
            self._tell(f"Started process_order with the content of that file, as instance {INSTANCE}")
            await self._until_phone_call(first)
            exit_code = await first.kill()
        finally:
            await first.stop()
        at_death = await self._history()
        self._tell(f"kill -9 {first.pid}: worker A is dead in the middle of {KILLED}")
        second = await self._start_worker("B")
        try:
            await self._until_taken_over(second)
            await self._approve()
            await self._until_finished()
        finally:
            await second.stop()
        status = await self._client.get_status(INSTANCE)
        self._tell(f"Read back from the store: {INSTANCE} is {status.runtime_status}")
        evidence = Evidence(
            killed=KILLED,
            first_pid=first.pid,
            exit_code=exit_code,
            at_death=at_death,
            effects=read_effects(self._effects),
            status=status.runtime_status,
        )
        return Told(await self._history(), evidence)

    async def _start_worker(self, name: str) -> WorkerProcess:
        address = f"embedded:{self._server.directory}"
        worker = await WorkerProcess.start(address, self._effects, self._directory / f"worker-{name}.log")
        self._tell(f"Started worker {name}, process {worker.pid}")
        return worker

    async def _until_phone_call(self, worker: WorkerProcess) -> None:
        """Only the one slow activity is under way, and all others have their end in the history."""

        async def only_it_runs() -> bool:
            history = await self._history()
            scheduled = sum(isinstance(event, ActivityScheduled) for event in history)
            ended = sum(isinstance(event, ActivityCompleted) for event in history)
            return scheduled == 4 and ended == 3 and bool(self._lines_of(KILLED))

        await _until(only_it_runs, f"{KILLED} is the only activity that runs")
        line = self._lines_of(KILLED)[0]
        self._tell(
            f"The order is valid, lamp and chair are reserved; process {worker.pid} is on the phone about the sofa:",
            f"its line in the effects file says {line.key}, attempt {line.attempt}, pid {line.pid}",
        )

    async def _until_taken_over(self, worker: WorkerProcess) -> None:
        async def begun_again() -> bool:
            return len(self._lines_of(KILLED)) > 1

        await _until(begun_again, f"{KILLED} begins again when the dead worker's lease has run out")
        again = self._lines_of(KILLED)[-1]
        self._tell(
            f"The dead worker's lease of 10 s ran out: its attempt has crashed; process {worker.pid} makes the next:",
            f"idempotency key {again.key} again, attempt {again.attempt}, pid {again.pid}",
        )

    async def _approve(self) -> None:
        async def timer_fired() -> bool:
            return any(isinstance(event, TimerFired) for event in await self._history())

        await _until(timer_fired, "all lines are reserved and the timer has fired")
        self._tell("All lines are reserved, a durable timer has fired, the order waits for an approval")
        command = ("XADD", "rd:{orders}:intake", "*", *EVENT)
        reply = await to_thread.run_sync(send_command, self._server.socket, *command)
        self._tell(
            f"Approved it from a bare socket, without redurable (the server answered {reply}). The same by hand:",
            as_redis_cli(self._server.socket, *command),
        )

    async def _until_finished(self) -> None:
        handle = self._client.get_handle(INSTANCE, result_type=Confirmation)
        confirmation = await handle.result(timeout=STEP_SECONDS)
        attempts = [effect.attempt for effect in self._lines_of("charge_payment")]
        self._tell(
            f"Charged {confirmation.paid / 100:,.2f} EUR at attempt {attempts[-1]} after {len(attempts) - 1} failures; "
            f"shipped by a sub-orchestration: {confirmation.tracking}"
        )

    async def _history(self) -> list[HistoryRow]:
        return await self._client.get_history(INSTANCE)

    def _lines_of(self, activity: str) -> list[Effect]:
        return [effect for effect in read_effects(self._effects) if effect.activity == activity]


def _write_order(directory: Path) -> Path:
    path = directory / f"{INSTANCE}.json"
    path.write_text(json.dumps({"order_id": INSTANCE, "customer": "Ada", "lines": LINES}, indent=2))
    return path


def _show_logs(directory: Path, say: Say) -> None:
    for log in sorted(directory.glob("worker-*.log")):
        say("\n".join([f"{log.name} ends with:", *log.read_text().splitlines()[-10:]]))


def _read_order(path: Path) -> Order:
    return Order.model_validate_json(path.read_bytes())


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for what other processes do; raises `TimeoutError` that names it."""
    with anyio.move_on_after(STEP_SECONDS):
        while True:
            if await condition():
                return
            await anyio.sleep(POLL_SECONDS)
    raise TimeoutError(f"waited {STEP_SECONDS:.0f} s in vain until {what}")
