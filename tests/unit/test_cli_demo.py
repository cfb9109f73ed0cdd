"""The demo's verdict is no formality: each promise can be broken. And its bare socket speaks real RESP."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from redurable.core.events import ActivityCompleted, ActivityScheduled, Event
from redurable.demo.effects import Effect, read_effects
from redurable.demo.foreign import as_redis_cli, send_command
from redurable.demo.verdict import Evidence, judge

A, B = 100, 200
SLOW = "reserve_line(sofa)"
AT_DEATH: list[Event] = [
    ActivityScheduled(at=1, seq=1, name="validate_order"),
    ActivityCompleted(at=2, seq=1),
    ActivityScheduled(at=2, seq=2, name="reserve_line"),
]
ONE_MORE: list[Event] = [ActivityScheduled(at=1, seq=7, name="reserve_line"), ActivityCompleted(at=2, seq=7)]
FIRST = (Effect("k:1", "validate_order", 1, A), Effect("k:2", SLOW, 1, A))
AFTER = (Effect("k:2", SLOW, 2, B), Effect("k:3", "charge_payment", 1, B), Effect("k:3", "charge_payment", 2, B))
GOOD = Evidence(
    killed=SLOW,
    first_pid=A,
    exit_code=-signal.SIGKILL,
    at_death=AT_DEATH,
    effects=(*FIRST, *AFTER),
    status="Completed",
)


def broken(evidence: Evidence) -> list[int]:
    return [number for number, check in enumerate(judge(evidence)) if not check.kept]


def test_what_should_happen_is_accepted() -> None:
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("evidence", "promises"),
    [
        pytest.param(replace(GOOD, exit_code=-signal.SIGTERM), [0], id="it did not die by SIGKILL"),
        pytest.param(replace(GOOD, exit_code=0), [0], id="it ended by itself"),
        pytest.param(
            replace(GOOD, at_death=[*AT_DEATH, ActivityCompleted(at=3, seq=2)]), [0], id="it was no more in it"
        ),
        pytest.param(replace(GOOD, first_pid=7), [0, 1], id="it ran elsewhere"),
        pytest.param(replace(GOOD, effects=(*FIRST, FIRST[0], *AFTER)), [1], id="an earlier one ran twice"),
        pytest.param(replace(GOOD, at_death=[*ONE_MORE, *AT_DEATH]), [1], id="an earlier one left no line"),
        pytest.param(replace(GOOD, effects=(*FIRST, Effect("k:1", "validate_order", 1, B), *AFTER)), [1], id="… on B"),
        pytest.param(replace(GOOD, effects=FIRST), [2], id="the killed one never ran again"),
        pytest.param(replace(GOOD, effects=(*FIRST, *AFTER, AFTER[0])), [2], id="the killed one ran three times"),
        pytest.param(replace(GOOD, effects=(*FIRST, Effect("k:9", SLOW, 2, B))), [2], id="under another key"),
        pytest.param(replace(GOOD, effects=(*FIRST, Effect("k:2", SLOW, 1, B))), [2], id="as the same attempt"),
        pytest.param(replace(GOOD, status="Running"), [3], id="it is not Completed"),
        pytest.param(replace(GOOD, effects=()), [0, 1, 2], id="nothing was done"),
    ],
)
def test_each_promise_can_be_broken(evidence: Evidence, promises: list[int]) -> None:
    assert broken(evidence) == promises


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "effects.tsv"
    assert read_effects(path) == []
    path.write_text("k:1\tvalidate_order\t1\t100\nk:2\tres")
    assert read_effects(path) == [Effect("k:1", "validate_order", 1, 100)]


@pytest.mark.parametrize(
    ("reply", "expected"), [(b"$5\r\n12-34\r\n", "12-34"), (b"+PONG\r\n", "PONG"), (b":7\r\n", "7")]
)
def test_a_command_by_hand(tmp_path: Path, reply: bytes, expected: str) -> None:
    path = str(tmp_path / "socket")
    with _Server(path, reply) as server:
        assert send_command(path, "XADD", "ключ", "*", "data", "") == expected
    assert server.heard == "*5\r\n$4\r\nXADD\r\n$8\r\nключ\r\n$1\r\n*\r\n$4\r\ndata\r\n$0\r\n\r\n".encode()


def test_a_refusal_is_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with _Server(path, b"-OOM command not allowed\r\n"), pytest.raises(RuntimeError, match="XADD: OOM command"):
        send_command(path, "XADD")


def test_the_same_command_for_a_shell() -> None:
    words = ("XADD", "rd:{orders}:intake", "*", "instance", "order-42", "terminate", "no stock")
    assert as_redis_cli("/tmp/x.sock", *words) == (
        "redis-cli -s /tmp/x.sock XADD rd:{orders}:intake '*' instance order-42 terminate 'no stock'"
    )


class _Server:
    """Answers one connection with fixed bytes and keeps what it heard."""

    def __init__(self, path: str, reply: bytes) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        self._reply = reply
        self._thread = threading.Thread(target=self._answer)
        self.heard = b""

    def __enter__(self) -> _Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._socket.close()

    def _answer(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            self.heard = connection.recv(4096)
            connection.sendall(self._reply)
