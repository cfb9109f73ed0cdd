"""The embedded server and several processes: who starts it, who goes on with it, what is left when one is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.embedded import Process, alive, answers, guard_of, redis, running, server_pid, until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    """Starts processes on one data directory; after the test nothing of them is left."""
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(tmp_path / "data"))
        return started[-1]

    yield start
    for process in started:
        process.kill()
    until(lambda: not running(str(tmp_path)), "the servers of the test are gone")


def test_owner_killed_means_server_gone_and_data_kept(processes: Callable[[], Process]) -> None:
    owner = processes()
    path, owns = owner.ask("ensure")
    assert owns
    redis(path, "SET", "value", "kept")
    pid = server_pid(path)
    guard = guard_of(pid)
    owner.kill()
    until(lambda: not alive(pid) and not alive(guard), "server and guard are gone")
    assert redis(processes().ask("ensure")[0], "GET", "value") == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a signal for a parent's death")
def test_guard_killed_means_server_gone_and_the_owner_starts_it_again(processes: Callable[[], Process]) -> None:
    owner = processes()
    path, _ = owner.ask("ensure")
    redis(path, "SET", "value", "kept")
    pid = server_pid(path)
    os.kill(guard_of(pid), signal.SIGKILL)
    until(lambda: not alive(pid), "the server is gone")
    assert owner.ask("ensure") == (path, True)
    assert redis(path, "GET", "value") == "kept"


def test_the_attached_process_goes_on_when_the_owner_is_killed(processes: Callable[[], Process]) -> None:
    first, second = processes(), processes()
    path, _ = first.ask("ensure")
    assert second.ask("ensure") == (path, False)
    pid = server_pid(path)
    redis(path, "RPUSH", "list", *range(1000))
    first.kill()
    until(lambda: not answers(path), "the connection is lost")
    assert second.ask("ensure") == (path, True)
    assert server_pid(path) != pid
    assert not alive(pid)
    assert redis(path, "LRANGE", "list", 0, -1) == [str(number) for number in range(1000)]


def test_an_attached_process_that_stops_or_dies_changes_nothing(processes: Callable[[], Process]) -> None:
    owner, stops, dies = processes(), processes(), processes()
    path, _ = owner.ask("ensure")
    pid = server_pid(path)
    assert stops.ask("ensure") == dies.ask("ensure") == (path, False)
    assert stops.ask("stop") == ("stopped", False)
    dies.kill()
    assert (server_pid(path), owner.ask("ensure")) == (pid, (path, True))


def test_five_first_starts_at_once_give_one_server(processes: Callable[[], Process], tmp_path: Path) -> None:
    five = [processes() for _ in range(5)]
    for process in five:
        process.say("ensure")
    answers = [process.hear() for process in five]
    assert len({path for path, _ in answers}) == 1
    assert [owns for _, owns in answers].count(True) == 1
    assert len(running(str(tmp_path))) == 2, "one guard and one server"
    assert (tmp_path / "data" / "valkey.log").read_text().count("Valkey is starting") == 1


def test_an_owner_that_ends_without_stop_ends_the_server_first(processes: Callable[[], Process]) -> None:
    owner = processes()
    path, _ = owner.ask("ensure")
    pid = server_pid(path)
    redis(path, "SET", "value", "kept")
    assert owner.end() == 0
    assert not alive(pid)
    assert redis(processes().ask("ensure")[0], "GET", "value") == "kept"


def test_a_forked_child_of_the_owner_does_not_keep_the_server(processes: Callable[[], Process]) -> None:
    owner = processes()
    path, _ = owner.ask("ensure")
    pid = server_pid(path)
    child, still_owns = owner.ask("fork")
    assert still_owns
    owner.kill()
    until(lambda: not alive(pid), "the server is gone")
    assert alive(int(child))
    os.kill(int(child), signal.SIGKILL)


def test_ctrl_c_reaches_the_owner_only(processes: Callable[[], Process]) -> None:
    owner = processes()
    path, _ = owner.ask("ensure")
    pid = server_pid(path)
    os.killpg(owner.pid, signal.SIGINT)
    assert owner.ask("ensure") == (path, True)
    assert server_pid(path) == pid
