"""The command line as a person uses it: real processes on a real server, in a directory with a module of theirs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from redurable.demo.foreign import send_command
from tests.support.shop_line import SOURCE, Running, Shop, until
from tests.support.shops import free_port

pytestmark = pytest.mark.timeout(200)


@pytest.mark.usefixtures("shop_worker")
def test_an_activity_is_completed_by_token(shop: Shop) -> None:
    shop.run("start", "hand_over", "--input", '"Really?"', "--id", "order-43")
    until(lambda: "handed-over" in shop.run("status", "order-43", "--activities"), "the call is open")
    (pending,) = shop.json("status", "order-43", "--activities")["pending_activities"]
    assert (pending["name"], pending["state"], pending["attempt"]) == ("ask", "handed-over", 1)
    token = (shop.directory / "token").read_text()

    shop.run("heartbeat-activity", token, "--details", "[1]")
    assert "is no token" in shop.run("complete-activity", "nonsense", code=1)
    shop.run("fail-activity", token, "--error", "Busy", "--message", "later", "--final", "--hub", "other", code=1)
    shop.run("fail-activity", token, "--error", "Busy", "--message", "later")
    until(lambda: shop.json("status", "order-43", "--activities")["pending_activities"][0]["attempt"] == 2, "again")
    until(lambda: "handed-over" in shop.run("status", "order-43", "--activities"), "the call is open again")
    again = (shop.directory / "token").read_text()
    assert shop.json("complete-activity", again, "--result", '{"sum": 12345678901234567890}')["done"] == "completed"
    assert json.loads(shop.run("result", "order-43")) == {"sum": 12345678901234567890}
    assert "no attempt with this token" in shop.run("complete-activity", again, code=1)
    assert "Busy" in shop.run("history", "order-43")


@pytest.mark.usefixtures("shop_worker")
def test_an_execution_timeout_ends_an_instance(shop: Shop) -> None:
    shop.run("start", "wait_for", "--input", '"Godot"', "--id", "order-44", "--execution-timeout", "0.2")
    assert "ExecutionTimedOut" in shop.run("result", "order-44", "--timeout", "20", code=1)


@pytest.mark.usefixtures("shop_worker")
def test_the_life_of_an_instance(shop: Shop) -> None:
    started = shop.run("start", "wait_for", "--input", '"Approval"', "--id", "order-42")
    assert "order-42" in started
    until(lambda: shop.json("status", "order-42").get("custom_status") == {"waiting_for": "Approval"}, "it waits")
    assert "Running" in shop.run("status", "order-42")

    shop.run("suspend", "order-42", "audit")
    until(lambda: shop.json("status", "order-42")["runtime_status"] == "Suspended", "it is suspended")
    shop.run("raise-event", "order-42", "Approval", "--data", '{"by": "Ada", "sum": 12345678901234}', "--event-id", "a")
    shop.run("resume", "order-42")
    assert json.loads(shop.run("result", "order-42", "--timeout", "20")) == {"by": "Ada", "sum": 12345678901234}

    events = [json.loads(line) for line in shop.run("history", "order-42", "-o", "jsonl").splitlines()]
    kinds = [event["type"] for event in events]
    assert kinds[0] == "ExecutionStarted"
    assert kinds[-1] == "ExecutionCompleted"
    assert {"ExecutionSuspended", "ExecutionResumed", "EventRaised"} <= set(kinds)
    readable = shop.run("history", "order-42").splitlines()
    assert len(readable) == len(events) + 1
    assert readable[0].split() == ["#", "time", "event", "seq", "details"]

    assert "has finished" in shop.run("raise-event", "order-42", "Approval", code=1)
    shop.run("purge", "order-42")
    assert "order-42" in shop.run("status", "order-42", code=1)


@pytest.mark.usefixtures("shop_worker")
def test_the_history_of_every_execution(shop: Shop) -> None:
    assert json.loads(shop.run("start", "count_down", "--input", "2", "--id", "c", "--wait")) == "zero"
    ids = [row["execution"] for row in shop.json("history", "c", "--executions")]
    assert [line.strip() for line in shop.run("history", "c", "--executions").splitlines()] == ["execution", *ids]
    histories = [shop.json("history", "c", "--execution", name) for name in ids]
    ends = ["ExecutionContinuedAsNew", "ExecutionContinuedAsNew", "ExecutionCompleted"]
    assert [[event["type"] for event in history] for history in histories] == [["ExecutionStarted", e] for e in ends]
    assert shop.json("history", "c") == histories[2]
    assert "no execution 'gone'" in shop.run("history", "c", "--execution", "gone", code=1)


@pytest.mark.usefixtures("shop_worker")
def test_arguments_in_every_form(shop: Shop) -> None:
    assert json.loads(shop.run("start", "hello", "--input", '"Ada"', "--wait")) == "Hello Ada."
    assert json.loads(shop.run("start", "hello", "--args", '["Ada"]', "--kwargs", '{"excited": true}', "--wait")) == (
        "Hello Ada!"
    )
    assert json.loads(shop.run("start", "hello", "--kwargs", '{"name": "Bob"}', "--wait", "-o", "json")) == "Hello Bob."


@pytest.mark.usefixtures("shop_worker")
def test_how_an_instance_ends_badly_is_one_line(shop: Shop) -> None:
    failed = shop.run("start", "fail", "--id", "f", "--wait", code=1)
    assert failed.count("\n") == 1
    assert "ValueError" in failed
    assert shop.json("status", "f")["runtime_status"] == "Failed"

    for how, said in (("terminate", "terminated"), ("cancel", "cancelled")):
        shop.run("start", "wait_for", "--input", '"Never"', "--id", how)
        assert how in shop.run("result", how, "--timeout", "0.1", code=1)
        shop.run(how, how, "no stock")
        assert f"was {said} (instance '{how}'): no stock" in shop.run("result", how, "--timeout", "20", code=1)
        assert how in shop.run("start", "wait_for", "--input", '"Never"', "--id", how, code=1)
    assert all("nobody" in shop.run(word, "nobody", code=1) for word in ("terminate", "cancel", "history"))


@pytest.mark.usefixtures("shop_worker")
def test_a_bare_xadd_into_the_mailbox_that_key_names(shop: Shop) -> None:
    shop.run("start", "wait_for", "--input", '"Approval"', "--id", "order-42")
    until(lambda: shop.json("status", "order-42")["runtime_status"] == "Running", "it has begun")
    key = shop.run("key", "order-42").strip()
    assert key.endswith(":m:order-42")
    assert shop.json("key", "order-42")["key"] == key

    send_command(shop.socket, "XADD", key, "*", "event", "Approval", "data", "7")
    assert json.loads(shop.run("result", "order-42", "--timeout", "20")) == 7


def test_sigterm_lets_running_work_finish(shop: Shop, shop_worker: Running) -> None:
    shop.run("start", "slow", "--input", "1.0", "--id", "s")
    lingering = shop.directory / "lingering"
    until(lingering.exists, "the activity runs")

    assert shop_worker.end(signal.SIGTERM) == 0
    assert "Traceback" not in shop_worker.log.read_text()
    with shop.process("worker", "shop_app:app", "--metrics-port", "0") as other:  # The server had ended with the first.
        other.line("is ready")
        assert json.loads(shop.run("result", "s", "--timeout", "20")) == "lingered"
    assert lingering.read_text() == "begun ended "


def test_a_second_signal_ends_at_once(shop: Shop, shop_worker: Running) -> None:
    shop.run("start", "slow", "--input", "60", "--id", "s")
    until((shop.directory / "lingering").exists, "the activity runs")

    shop_worker.process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        shop_worker.process.wait(0.5)
    # Two of a kind that wait for a process that stands still are one.
    until(lambda: not _pending(shop_worker.process.pid, signal.SIGINT), "the first one has come")
    assert shop_worker.end(signal.SIGINT) == 128 + signal.SIGINT


def _pending(process: int, number: signal.Signals) -> bool:
    """Whether a signal still waits for a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (waiting,) = [line.split()[1] for line in lines if line.startswith("ShdPnd:")]
    return bool(int(waiting, 16) >> (number - 1) & 1)


def test_a_worker_that_cannot_start_says_why_in_one_line(shop: Shop) -> None:
    for target, text in [
        ("nowhere:app", "there is no module 'nowhere'"),
        ("shop_app:other", "has no 'other'"),
        ("shop_app:GREETING", "is a str, not a redurable App"),
    ]:
        said = shop.run("worker", target, code=1)
        assert said.count("\n") == 1
        assert text in said
    assert shop.run("worker", "nowhere:app", "--redis", "memory://", code=2)
    said = shop.run("worker", "shop_app:app", "--roles", "cooking", "--metrics-port", "0", code=1)
    assert "cooking" in said.splitlines()[-1]


def test_metrics_are_served_and_a_taken_port_is_no_reason_to_stop(shop: Shop) -> None:
    port = free_port()
    with shop.process("worker", "shop_app:app", "--metrics-port", str(port)) as first:
        assert f"metrics on port {port}" in first.line("is ready")
        shop.run("start", "hello", "--input", '"Ada"', "--wait")
        for counted in (
            'redurable_instances_finished_total{hub="shop",status="Completed",type="hello"} 1.0',
            'redurable_activity_attempts_total{activity="greet",hub="shop",outcome="ok"} 1.0',
        ):  # The store knows of an end before the worker counts it.
            until(lambda counted=counted: counted in _metrics(port), counted)
        with shop.process("worker", "shop_app:app", "--metrics-port", str(port)) as second:
            second.line("is ready")
            assert f"{port}" in second.log.read_text()
            assert second.end(signal.SIGTERM) == 0
        assert first.end(signal.SIGTERM) == 0


def _metrics(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        return answer.read().decode()


def test_dev_replaces_the_worker_when_code_changes_and_keeps_the_server(shop: Shop) -> None:
    with shop.process("dev", "shop_app:app", "--metrics-port", "0") as dev:
        dev.line("is ready")
        run_id = _run_id(shop)
        assert json.loads(shop.run("start", "hello", "--input", '"Ada"', "--wait")) == "Hello Ada."

        module = shop.directory / "shop_app.py"
        module.write_text(SOURCE.replace('"Hello"', "oops("))
        dev.line("shop_app.py changed")
        dev.line("ended with code 1")
        module.write_text(SOURCE.replace('"Hello"', '"Good day"'))
        dev.line("is ready")
        assert json.loads(shop.run("start", "hello", "--input", '"Ada"', "--wait")) == "Good day Ada."

        assert _run_id(shop) == run_id
        assert dev.end(signal.SIGINT) == 0
    assert _refuses(shop.socket)


def test_dev_that_is_killed_leaves_no_worker_behind(shop: Shop) -> None:
    with shop.process("dev", "shop_app:app", "--metrics-port", "0") as dev:
        ready = dev.line("is ready")
        worker = int(ready.split("process ")[1].split(",")[0])
        assert dev.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not _runs(worker), "the worker ends, too")
    until(lambda: _refuses(shop.socket), "the server ends, too")


def _runs(process: int) -> bool:
    """Whether it is there and no zombie, which is what remains in a container whose first process reaps nobody."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def _run_id(shop: Shop) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(shop.socket)
        connection.sendall(b"INFO server\r\n")
        with connection.makefile("rb") as reply:
            return next(line.decode() for line in reply if line.startswith(b"run_id:"))


def _refuses(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(path) != 0
