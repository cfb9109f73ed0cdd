"""What all commands have in common: which server and hub, how to print, and one clear line for an error.

A command is an async function whose first parameter is the `Target`; `command` adds the options that fill it.
Exit codes: 0 success, 1 an error, 2 wrong usage.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Annotated, Any, TypeVar, cast

import anyio
import typer
from msgspec import Struct

from redurable.cli.output import Output, one_line
from redurable.client import Client
from redurable.client.link import Link
from redurable.errors import RedurableError
from redurable.store.address import (
    DEFAULT_ADDRESS,
    ENVIRONMENT_VARIABLE,
    MemoryAddress,
    open_hub,
    read_address,
    where,
)

_HAS_UVLOOP = find_spec("uvloop") is not None
PATIENCE_SECONDS = 5.0
"""How long a command waits for a server that does not answer."""

RedisOption = Annotated[
    str,
    typer.Option(
        "--redis",
        envvar=ENVIRONMENT_VARIABLE,
        metavar="ADDRESS",
        help="redis://, rediss://, unix:// or embedded:DIRECTORY",
    ),
]
HubOption = Annotated[
    str, typer.Option("--hub", envvar="REDURABLE_HUB", metavar="NAME", help="The hub. An app's hub has its name.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

Run = Callable[..., Coroutine[Any, Any, None]]
R = TypeVar("R", bound=Run)


class Target(Struct, frozen=True):
    """What a command is about. `hub` may be empty: the worker's default is its app's name."""

    address: str
    hub: str
    output: Output

    def client(self) -> Client:
        """A client of the hub, to be entered; the hub has to be named."""
        return Client(self.address, hub=self.named_hub(), timeout=PATIENCE_SECONDS)

    @asynccontextmanager
    async def link(self, create: bool = False) -> AsyncGenerator[Link, None]:
        """The store of the hub, open; for what a client has no word for."""
        store = open_hub(self.address, self.named_hub())
        try:
            link = Link(store, PATIENCE_SECONDS, where(self.address), joined=False)
            await link.join(create)
            yield link
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()

    def named_hub(self) -> str:
        """The hub, or the usage error that it is missing."""
        if not self.hub:
            raise typer.BadParameter(
                "say which hub is meant, with this option or the environment variable REDURABLE_HUB "
                "(the hub of an app has the app's name, unless its worker was told another)",
                param_hint="--hub",
            )
        return self.hub


def command(app: typer.Typer, name: str) -> Callable[[R], R]:
    """Register an async function as a command of `app`; its docstring is the help."""

    def register(function: R) -> R:
        app.command(name)(_with_common_options(function))
        return function

    return register


def _with_common_options(function: Run) -> Callable[..., None]:
    def run(redis: str, hub: str, output: Output, debug: bool, **own: Any) -> None:
        try:
            target = Target(_shared(redis), hub, output)
            anyio.run(lambda: function(target, **own), backend_options={"use_uvloop": _HAS_UVLOOP})
            sys.stdout.flush()
        except Exception as error:
            raise typer.Exit(_report(error, debug)) from error

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    signature = inspect.Signature([*own, *_common()])
    setattr(run, "__signature__", signature)  # noqa: B010 - a function's type does not know this attribute
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    run.__doc__ = function.__doc__
    return run


def _common() -> list[inspect.Parameter]:
    options: list[tuple[str, Any, object]] = [
        ("redis", RedisOption, DEFAULT_ADDRESS),
        ("hub", HubOption, ""),
        ("output", OutputOption, Output.TABLE),
        ("debug", DebugOption, False),
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(name, keyword, annotation=kind, default=default) for name, kind, default in options]


def _shared(address: str) -> str:
    if isinstance(read_address(address), MemoryAddress):
        raise typer.BadParameter(
            "memory:// lives inside one process, so no other process could see what a command does there: "
            "use a server, or embedded:DIRECTORY for a local one",
            param_hint="--redis",
        )
    return address


def _report(error: Exception, debug: bool) -> int:
    """Say on stderr in one line what went wrong, and return the exit code; `debug` adds the traceback."""
    cause = _first_cause(error)
    # These are for typer, from wherever they were raised; a broken pipe is `| head` that has seen enough.
    if isinstance(cause, typer.BadParameter | typer.Exit | typer.Abort | BrokenPipeError):
        raise cause
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    print(f"redurable: {_describe(cause)}", file=sys.stderr)
    return 1


def _first_cause(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def _describe(error: Exception) -> str:
    text = one_line(str(error))
    if not text:
        return type(error).__name__
    return text if isinstance(error, RedurableError | TimeoutError) else f"{type(error).__name__}: {text}"
