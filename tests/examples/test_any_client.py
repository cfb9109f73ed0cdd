"""`examples/any-client/`: programs that are not Python start an order, do its work and hear of its end.

They log in as the user that `redurable acl` has for those who run activities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from redurable.store.redis.acl import Role, rule, user
from tests.support.servers import KINDS
from tests.support.shops import shop

FOLDER = Path(__file__).parents[2] / "examples" / "any-client"
SECONDS = 150
"""Packages may have to be downloaded, and the Go program compiled."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, requires_tool: Callable[..., str]) -> Iterator[str]:
    if request.param == "redis70":
        requires_tool("redis-server", package="redis-server")
    with shop(request.param, FOLDER, "--roles", "orchestrations") as address, _connected(address) as server:
        server.execute_command(*rule("shop", Role.WORKER).split())
        server.execute_command("ACL", "SETUSER", user("shop", Role.WORKER), ">secret")
        yield address.replace("//", f"//{user('shop', Role.WORKER)}:secret@")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, so that nothing is installed into the checkout."""
    return shutil.copytree(FOLDER, tmp_path_factory.mktemp("any") / "client", ignore=_INSTALLED)


_INSTALLED = shutil.ignore_patterns("node_modules", "__pycache__")


SERVES_AGAIN = """
import { createClient } from 'redis';
import { Hub, Worker } from './hub.mjs';

const redis = await createClient({ url: process.env.REDIS_URL }).on('error', console.error).connect();
const hub = await Hub.open(redis, 'shop');
const worker = new Worker(hub, 'lost', {});
const working = worker.run();
const there = () => redis.exists(`${hub.base(0)}tasks:lost`);
while (!worker.reader?.isReady || !(await there())) await new Promise(setImmediate);
await redis.del(`${hub.base(0)}tasks:lost`);
while (!(await there())) await new Promise(setImmediate);
console.log('serves again');
const admin = await createClient({ url: process.env.REDIS_URL.replace(/[^/]*@/, '') }).connect();
await admin.sendCommand(['CLIENT', 'KILL', 'USER', 'shop-worker']);
await admin.del(`${hub.base(0)}tasks:lost`);
while (!(await admin.exists(`${hub.base(0)}tasks:lost`))) await new Promise(setImmediate);
console.log('serves again');
admin.destroy();
worker.stop();
await working;
redis.destroy();
"""


def _connected(url: str) -> Any:
    redis: Any = Redis
    return redis.from_url(url)


def _run(command: Sequence[str], folder: Path, url: str = "") -> str:
    done = _ended(command, folder, url)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _stops_at_another_format(command: Sequence[str], folder: Path, url: str) -> None:
    with _connected(url) as server:
        server.hset("rd:{shop}:meta", "format", "3")
    done = _ended(command, folder, url)
    assert done.returncode != 0
    assert "format" in done.stderr


def _ended(command: Sequence[str], folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "REDIS_URL": url, "NO_UPDATE_NOTIFIER": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.requires_tool("redis-cli", package="redis-tools")
@pytest.mark.requires_tool("bash", package="bash")
def test_a_shell_script(url: str) -> None:
    command = ["bash", "bash/ship.sh", "order-1"]
    first, last = _run(command, FOLDER, url).splitlines()
    assert first == "order-1 Completed"
    event = json.loads(last)
    assert (event["type"], event["result"]) == (
        "ExecutionCompleted",
        {"label": {"printed_by": "bash"}, "approved_by": "bash"},
    )
    _stops_at_another_format(command, FOLDER, url)


@pytest.mark.requires_tool("node", package="nodejs")
def test_node(url: str, built: Path, requires_tool: Callable[..., str]) -> None:
    npm = requires_tool("npm", package="npm")
    if not (built / "node" / "node_modules").exists():
        _run([npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"], built / "node")
    command = ["node", "ship.mjs", "order-2"]
    _check(_run(command, built / "node", url), "order-2", "node")
    assert _run(["node", "--input-type=module", "--eval", SERVES_AGAIN], built / "node", url) == 2 * "serves again\n"
    _stops_at_another_format(command, built / "node", url)


def test_go(url: str, built: Path, requires_tool: Callable[..., str]) -> None:
    go = requires_tool("go", package="golang-go")
    program = built / "go" / "ship"
    if not program.exists():
        assert _run([go, "vet", "./..."], built / "go") == ""
        _run([go, "build", "-o", str(program)], built / "go")
    command = [str(program), "order-3"]
    _check(_run(command, built / "go", url), "order-3", "go")
    _stops_at_another_format(command, built / "go", url)


def _check(said: str, instance: str, language: str) -> None:
    shown, status, result = said.strip().split(" ", 2)
    label = {"printed_by": language, "to": "Main Street 1", "after": {"printed": "half"}}
    assert (shown, status, json.loads(result)) == (instance, "Completed", {"label": label, "approved_by": language})
