"""`redurable acl`: the rules for the server's users; nothing is sent."""

from __future__ import annotations

from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.output import Output, print_records
from redurable.store.redis.acl import Role, rule, user


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "acl")(acl)


async def acl(
    target: Target,
    role: Annotated[Role | None, typer.Option("--role", help="Only this one; without this option all.")] = None,
) -> None:
    """Print least-privilege ACL rules for the users of a hub.

    Send them with: redurable acl --hub HUB | redis-cli. Passwords are yours to set: ACL SETUSER HUB-worker >PASSWORD.
    """
    hub = target.named_hub()
    roles = [role] if role else list(Role)
    if target.output is Output.TABLE:
        for one in roles:
            print(rule(hub, one))
    else:
        print_records([{"role": one, "user": user(hub, one), "rule": rule(hub, one)} for one in roles], target.output)
