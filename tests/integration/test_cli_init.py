"""`redurable init`: a hub with as many partitions as its owner wants, made once."""

from __future__ import annotations

import json
from uuid import uuid4

from anyio import to_thread
from typer.testing import CliRunner

from redurable.cli import main
from tests.support.servers import Server


async def test_a_hub_is_made_once_and_keeps_its_partitions(server: Server) -> None:
    there = ("--redis", server.url, "--hub", f"init-{uuid4().hex[:8]}", "-o", "json")

    async def init(*words: str) -> dict[str, object]:
        done = await to_thread.run_sync(lambda: CliRunner().invoke(main.app, ["init", *words, *there]))
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    assert (await init("--partitions", "4")).items() >= {"partitions": 4, "created": True}.items()
    assert (await init("--partitions", "8")).items() >= {"partitions": 4, "created": False}.items()


def test_a_hub_needs_a_name_and_a_partition() -> None:
    assert CliRunner().invoke(main.app, ["init", "--hub", "a", "--partitions", "0"]).exit_code == 2
    assert "--hub" in CliRunner().invoke(main.app, ["init"], env={"REDURABLE_HUB": ""}).output
