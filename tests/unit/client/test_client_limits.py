"""What a client refuses before it asks the store, and what it says when there is no hub, or no server."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import anyio
import pytest

from redurable import Client, HubNotFound, InvalidName, InvalidPayload, StoreUnavailable
from redurable.errors import InstanceNotFound
from tests.support.shops import free_port
from tests.unit.client.bench import Bench, Order, process

LIMIT = 100
AT_LIMIT, OVER = "x" * 98, "x" * 99
ALLOWED = "are more than max_payload_bytes (REDURABLE_MAX_PAYLOAD_BYTES) allows, 100: keep the data elsewhere"


class Loose(Protocol):
    """A client to which anything may be given."""

    def start(self, orchestrator: Any, /, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...
    def raise_event(self, instance_id: Any, name: Any, data: Any = None, event_id: Any = None) -> Awaitable[None]: ...
    def terminate(self, instance_id: Any, reason: Any = "") -> Awaitable[None]: ...
    def suspend(self, instance_id: Any, reason: Any = "") -> Awaitable[None]: ...
    def resume(self, instance_id: Any, reason: Any = "") -> Awaitable[None]: ...
    def get_status(self, instance_id: Any) -> Awaitable[Any]: ...


Call = Callable[[Loose], Awaitable[Any]]


TOO_LARGE: list[tuple[Call, str]] = [
    (lambda client: client.start("process", OVER), "orchestrator 'process': 101 bytes of input"),
    (lambda client: client.start("process", *"x" * 34), "orchestrator 'process': 102 bytes of input"),
    (lambda client: client.start("process", key="x" * 96), "orchestrator 'process': 101 bytes of input"),
    (
        lambda client: client.start("process", tags={"t": "x" * 100}),
        "orchestrator 'process': 101 bytes of tags",
    ),
    (lambda client: client.start("process", memo=OVER), "orchestrator 'process': 101 bytes of memo"),
    (lambda client: client.raise_event("one", "Go", OVER), "event 'Go': 101 bytes of data"),
    (lambda client: client.terminate("one", "x" * 101), "terminate(): 101 bytes of reason"),
    (lambda client: client.suspend("one", "x" * 101), "suspend(): 101 bytes of reason"),
    (lambda client: client.resume("one", "é" * 51), "resume(): 102 bytes of reason"),
]


@pytest.mark.parametrize(("call", "what"), TOO_LARGE)
async def test_a_payload_over_the_limit_never_leaves_the_client(bench: Bench, call: Call, what: str) -> None:
    async with Client.from_store(bench.store, max_payload_bytes=LIMIT) as client:
        with pytest.raises(InvalidPayload, match=f"^{re.escape(what)} {re.escape(ALLOWED)}"):
            await call(client)
        with pytest.raises(InstanceNotFound):
            await client.get_status("one")


async def test_the_limit_itself_is_accepted(bench: Bench) -> None:
    async with Client.from_store(bench.store, max_payload_bytes=LIMIT) as client:
        await client.start("process", AT_LIMIT, instance_id="one", tags={"t": "x" * 99})
        await client.raise_event("one", "Go", AT_LIMIT)
        await client.terminate("one", "x" * 100)
        assert (await client.get_status("one")).input == AT_LIMIT


async def test_the_limit_comes_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDURABLE_MAX_PAYLOAD_BYTES", "100")
    async with Client.from_store(bench.store) as client:
        with pytest.raises(InvalidPayload, match="allows, 100:"):
            await client.start(process, Order(lines=[OVER]))


NOT_ALLOWED: list[Call] = [
    lambda client: client.start("process", instance_id=42),
    lambda client: client.start("process", instance_id="x" * 257),
    lambda client: client.raise_event(None, "Go"),
    lambda client: client.raise_event("one", 7),
    lambda client: client.raise_event("one", "Go", event_id="i" * 257),
    lambda client: client.get_status("a\x00b"),
    lambda client: client.start("a\ud800"),
]


@pytest.mark.parametrize("call", NOT_ALLOWED)
async def test_names_and_ids_that_are_not_allowed(client: Client, call: Call) -> None:
    with pytest.raises(InvalidName, match=r": (use|remove)"):
        await call(client)


NEEDS_THE_HUB: list[Callable[[Client], Awaitable[Any]]] = [
    lambda client: client.get_status("one"),
    lambda client: client.get_history("one"),
    lambda client: client.list_executions("one"),
    lambda client: client.get_handle("one").result(timeout=5),
    lambda client: client.raise_event("one", "Go"),
    lambda client: client.terminate("one"),
    lambda client: client.suspend("one"),
    lambda client: client.resume("one"),
    lambda client: client.purge("one"),
]


@pytest.mark.parametrize("call", NEEDS_THE_HUB)
async def test_whoever_mistypes_the_hub_is_told(call: Callable[[Client], Awaitable[Any]]) -> None:
    async with Client(f"memory://{uuid4().hex}", hub="typo") as client:
        for _ in range(2):  # The first call has not created it either.
            with pytest.raises(
                HubNotFound, match=r"^no hub 'typo' at memory://\w+: check the hub's name and the store's"
            ):
                await call(client)


async def test_the_first_start_creates_the_hub_for_all() -> None:
    address = f"memory://{uuid4().hex}"
    async with Client(address, hub="fresh") as reader, Client(address, hub="fresh") as starter:
        with pytest.raises(HubNotFound):
            await reader.get_status("one")
        await starter.start("process", instance_id="one")
        assert (await reader.get_status("one")).name == "process"
        with pytest.raises(InstanceNotFound, match="no instance 'two' in hub 'fresh'"):
            await reader.get_status("two")


async def test_reading_from_a_directory_that_is_not_there_makes_none(tmp_path: Path) -> None:
    directory = tmp_path / "nothing"
    async with Client(f"embedded:{directory}", hub="typo") as client:
        with pytest.raises(HubNotFound, match=f"no hub 'typo' at embedded:{directory}"):
            await client.get_status("one")
    assert not directory.exists()


async def test_a_server_that_is_down_is_named_after_the_timeout() -> None:
    port, begin = free_port(), anyio.current_time()
    with pytest.raises(StoreUnavailable) as away:
        await Client(f"redis://ada:secret@127.0.0.1:{port}/0", hub="orders", timeout=0.2).__aenter__()
    assert anyio.current_time() - begin < 10
    text = str(away.value)
    assert f"redis://ada:***@127.0.0.1:{port}/0 did not serve within 0.2 s; check that the server runs and that" in text
    assert "secret" not in text
