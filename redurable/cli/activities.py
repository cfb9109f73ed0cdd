"""Commands about attempts of activities that somebody else completes: complete-activity, fail-activity,
heartbeat-activity."""

from __future__ import annotations

from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.output import print_record
from redurable.cli.payloads import parse_json
from redurable.core.tokens import read_token
from redurable.core.values import Failure

TokenArgument = Annotated[str, typer.Argument(metavar="TOKEN", help="What ActivityContext.complete_later() returned.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "complete-activity")(complete_activity)
    command(app, "fail-activity")(fail_activity)
    command(app, "heartbeat-activity")(heartbeat_activity)


async def complete_activity(
    target: Target,
    token: TokenArgument,
    result: Annotated[str, typer.Option("--result", metavar="JSON", help="What the activity returns.")] = "null",
) -> None:
    """Complete an attempt of an activity."""
    value = parse_json(result, "--result")
    async with target.client() as client:
        await client.complete_activity(token, value)
    _confirm(target, token, "completed")


async def fail_activity(
    target: Target,
    token: TokenArgument,
    error: Annotated[str, typer.Option("--error", metavar="TYPE", help="The error's type.")] = "Error",
    message: Annotated[str, typer.Option("--message", metavar="TEXT", help="What it says.")] = "",
    final: Annotated[bool, typer.Option("--final", help="Do not try again, whatever the policy says.")] = False,
) -> None:
    """Fail an attempt of an activity. It is tried again as its policy says."""
    async with target.client() as client:
        await client.fail_activity(token, Failure(error, message), retryable=not final)
    _confirm(target, token, "failed")


async def heartbeat_activity(
    target: Target,
    token: TokenArgument,
    details: Annotated[str, typer.Option("--details", metavar="JSON", help="Handed to the next attempt.")] = "null",
) -> None:
    """Say that an attempt of an activity makes progress."""
    value = parse_json(details, "--details")
    async with target.client() as client:
        await client.heartbeat_activity(token, value)
    _confirm(target, token, "heard")


def _confirm(target: Target, token: str, done: str) -> None:
    named = read_token(token)
    print_record({"instance_id": named.instance, "attempt": named.attempt, "done": done}, target.output)
