"""`redurable key` and `redurable acl`: what other programs and administrators are told."""

from __future__ import annotations

import json

import pytest
from anyio import to_thread
from typer.testing import CliRunner

from redurable.cli import main
from redurable.store.redis.store import RedisStore
from tests.support.servers import Server


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main.app, words)
    assert done.exit_code == code, done.output
    return done.output


async def test_the_keys_that_other_programs_write_to(server: Server, store: RedisStore) -> None:
    async def key(*words: str, code: int = 0) -> str:
        there = ("--redis", server.url, "--hub", store.hub)
        return await to_thread.run_sync(lambda: run("key", *words, *there, code=code))

    assert await key("--intake") == f"{store.layout.hub.intake}\n"
    assert await key("order-42") == f"{store.mailbox_key('order-42')}\n"
    assert await key("order-42", "--ready") == f"{store.layout.of('order-42').ready}\n"
    for wrong in ((), ("order-42", "--intake"), ("--intake", "--ready")):
        assert "one of both" in await key(*wrong, code=2)


def test_the_rules_need_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they permit is tested on servers."""
    monkeypatch.setenv("REDURABLE_HUB", "shop")
    lines = run("acl").splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["ACL", "SETUSER", f"shop-{role}", "on"] for role in ("worker", "client", "raiser", "monitor")
    ]
    assert all(" resetkeys resetchannels clearselectors -@all " in line for line in lines)
    assert lines[2].endswith("-@all %W~rd:{shop}:intake +ping +select +xadd")
    (record,) = json.loads(run("acl", "--role", "raiser", "-o", "json"))
    assert record == {"role": "raiser", "user": "shop-raiser", "rule": lines[2]}
    assert run("acl", "--role", "anybody", code=2)
    monkeypatch.delenv("REDURABLE_HUB")
    assert "--hub" in run("acl", code=2)
