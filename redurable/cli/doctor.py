"""`redurable doctor`: is this server fit, and is this hub well?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import typer

from redurable.cli.command import Target, command
from redurable.cli.output import print_records
from redurable.cli.wellbeing import look_at
from redurable.core.ids import check_hub_name
from redurable.errors import StoreError
from redurable.settings import RedisSettings
from redurable.store.address import EmbeddedAddress, RedisAddress, read_address
from redurable.store.embedded.server import EmbeddedServer
from redurable.store.embedded.store import unix_url
from redurable.store.login import with_login
from redurable.store.redis.channel import channel_factory
from redurable.store.redis.diagnosis import Finding, Verdict, examine
from redurable.store.redis.lane import Lane


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "doctor")(doctor)


async def doctor(target: Target) -> None:
    """Look whether the server keeps what it is given and answers in time, and whether the hub is well.

    Exit code 1 when something fails; warnings do not count.
    """
    hub = check_hub_name(target.named_hub())
    async with _lane(target.address) as lane:
        findings = [finding async for finding in examine(lane, hub)]
    if findings[-1].check == "hub" and findings[-1].verdict is Verdict.OK:
        findings += await _hub(target)
    print_records([_row(finding) for finding in findings], target.output)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


async def _hub(target: Target) -> list[Finding]:
    """How the hub is; what its user must not read is a finding, too."""
    try:
        async with target.link() as link:
            return [finding async for finding in look_at(link)]
    except StoreError as error:
        advice = "give the user the rules that `redurable acl` prints"
        return [Finding("contents", Verdict.FAIL, " ".join(str(error).split()), advice)]


@asynccontextmanager
async def _lane(address: str) -> AsyncGenerator[Lane, None]:
    """The server without its hub: it is looked at whatever it holds."""
    match read_address(address):
        case EmbeddedAddress(directory):
            server = EmbeddedServer(directory)
            await server.ensure()
            lane = Lane(channel_factory(unix_url(server.socket)))
        case RedisAddress(url):
            server, lane = None, Lane(channel_factory(with_login(url, RedisSettings())))
        case other:  # The command line refuses memory://.
            raise AssertionError(other)
    try:
        yield lane
    finally:
        await lane.close()
        if server is not None:
            await server.stop()


def _row(finding: Finding) -> dict[str, object]:
    return {"check": finding.check, "verdict": finding.verdict, "found": finding.found, "advice": finding.advice}
