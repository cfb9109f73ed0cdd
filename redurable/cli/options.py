"""Options that several commands share, in groups: a command has one parameter for a group, the line all its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import MISSING, Field, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, get_type_hints

import typer

from redurable.cli.command import Run
from redurable.client import InstanceFilters
from redurable.core.values import RuntimeStatus

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _statuses(incomplete: str) -> list[str]:
    # What has continued as new is running, to whoever asks.
    askable = [status for status in RuntimeStatus if status is not RuntimeStatus.CONTINUED_AS_NEW]
    return [status for status in askable if status.lower().startswith(incomplete.lower())]


def _time_option(name: str, help_: str) -> Any:
    return typer.Option(name, metavar="TIME", help=help_)


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """Which instances are meant: those to which all of it applies."""

    status: Annotated[
        list[str] | None,
        typer.Option("--status", autocompletion=_statuses, help="In this runtime status; may be repeated."),
    ] = None
    name: Annotated[
        list[str] | None, typer.Option("--name", metavar="NAME", help="Of this orchestrator; may be repeated.")
    ] = None
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Whose id begins so.")] = ""
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="With this tag; may be repeated.")
    ] = None
    created_from: Annotated[
        str, _time_option("--created-from", "Created then or later: 2026-03-01, 2026-03-01T12:30Z, or 90m, 7d ago.")
    ] = ""
    created_to: Annotated[str, _time_option("--created-to", "Created then or earlier.")] = ""
    updated_from: Annotated[str, _time_option("--updated-from", "Changed last then or later.")] = ""
    updated_to: Annotated[str, _time_option("--updated-to", "Changed last then or earlier.")] = ""
    quarantined: Annotated[bool, typer.Option("--quarantined", help="That are quarantined.")] = False

    def filters(self) -> InstanceFilters:
        """In the client's words."""
        filters = InstanceFilters()
        if self.status:
            filters["status"] = [_status(text) for text in self.status]
        if self.name:
            filters["name"] = self.name
        if self.prefix:
            filters["prefix"] = self.prefix
        if self.tag:
            filters["tags"] = dict(_tag(text) for text in self.tag)
        if self.quarantined:
            filters["quarantined"] = True
        return filters | self._times()

    def _times(self) -> InstanceFilters:
        times = InstanceFilters()
        if self.created_from:
            times["created_from"] = moment(self.created_from, "--created-from")
        if self.created_to:
            times["created_to"] = moment(self.created_to, "--created-to")
        if self.updated_from:
            times["updated_from"] = moment(self.updated_from, "--updated-from")
        if self.updated_to:
            times["updated_to"] = moment(self.updated_to, "--updated-to")
        return times


@dataclass(frozen=True, kw_only=True)
class ManyOptions(FilterOptions):
    """One operation on many instances."""

    all_: Annotated[bool, typer.Option("--all", help="All instances to which the filters apply.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --all: only say which ones it would be.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")] = False
    why: Annotated[str, typer.Option("--reason", metavar="TEXT", help="As the argument REASON.")] = ""

    def one(self, instance_id: str | None) -> str:
        """The one instance that is meant; empty: many are."""
        if (instance_id is None) is not self.all_:
            raise typer.BadParameter("name an instance, or say --all: one of both", param_hint="ID")
        if instance_id is not None and (self.filters() or self.dry_run):
            raise typer.BadParameter("filters and --dry-run are for many instances: say --all", param_hint="ID")
        return instance_id or ""

    def reason(self, argument: str) -> str:
        """Why; told as an argument or as an option."""
        if argument and self.why:
            raise typer.BadParameter("it is told twice", param_hint="--reason")
        return argument or self.why


def spread(parameter: str, group: type[Any]) -> Callable[[Run], Run]:
    """Let a command have all options of `group`; it gets them as the value of its `parameter`."""

    def decorate(function: Run) -> Run:
        def run(*given: Any, **options: Any) -> Coroutine[Any, Any, None]:
            own = {each.name: options.pop(each.name) for each in fields(group) if each.name in options}
            return function(*given, **options, **{parameter: group(**own)})

        signature = inspect.signature(function, eval_str=True)
        kept = [each for name, each in signature.parameters.items() if name != parameter]
        setattr(run, "__signature__", signature.replace(parameters=[*kept, *_parameters(group)]))  # noqa: B010
        run.__doc__ = function.__doc__
        return run

    return decorate


def _parameters(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        yield inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name], default=_default(each)
        )


def _default(each: Field[Any]) -> Any:
    assert each.default is not MISSING, "an option has a default"
    return each.default


def moment(text: str, option: str) -> datetime:
    """A time, or how long ago it was. Without a zone: UTC."""
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit and number.isdecimal():
        try:
            return datetime.now(UTC) - timedelta(**{unit: int(number)})
        except OverflowError:
            pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2026-03-01, 2026-03-01T12:30:00Z, or how long ago: 90m, 24h, 7d",
            param_hint=option,
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _status(text: str) -> str:
    """As it is written, whatever its case."""
    return next((status.value for status in RuntimeStatus if status.lower() == text.lower()), text)


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"{text!r} is no tag: write KEY=VALUE", param_hint="--tag")
    return key, value
