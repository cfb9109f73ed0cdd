"""What the decorators make of functions: typed handles that stay directly callable and carry the options of a call."""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, Unpack, cast

from redurable.authoring.policies import ActivityCallOptions, OrchestratorOptions, activity_options, start_options
from redurable.core.values import ActivityOptions

if TYPE_CHECKING:
    from redurable.authoring.context import OrchestrationContext
    from redurable.authoring.definitions import ActivityDefinition, OrchestratorDefinition
    from redurable.authoring.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Activity(Generic[P, R_co]):
    """An activity as application code holds it: pass it to `ctx.call_activity`, or call it like the function it is.

    `definition` is how the worker sees it, `chosen` are the options of a call.
    """

    def __init__(self, function: Callable[..., Any], definition: ActivityDefinition) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self.definition = definition
        self.chosen: ActivityOptions = definition.options

    @property
    def name(self) -> str:
        """The registered name."""
        return self.definition.name

    def options_in(self, registry: Registry) -> ActivityOptions:
        """The options of a call by an orchestrator of that registry."""
        return self.chosen

    def options(self, **options: Unpack[ActivityCallOptions]) -> Self:
        """The same activity with other options, for `ctx.call_activity`. See `ActivityCallOptions`."""
        other = copy.copy(self)
        other.chosen = activity_options(options, self.chosen, f"activity {self.name!r}")
        return other

    def __repr__(self) -> str:
        return f"<activity {self.name!r}>"


class AsyncActivity(Activity[P, R_co]):
    """An activity that is an `async def` function; it runs on the worker's event loop."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, here and now."""
        return await self.definition.function(*args, **kwargs)


class SyncActivity(Activity[P, R_co]):
    """An activity that is a plain function; it runs in a thread of the worker."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, here and now."""
        return self.definition.function(*args, **kwargs)


class Orchestrator(Generic[P, R_co]):
    """An orchestrator as application code holds it: start it with a client, or as a child of another one.

    `definition` is how the worker sees it, `chosen` are the options of a start.
    """

    def __init__(self, function: Callable[..., Awaitable[Any]], definition: OrchestratorDefinition) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self.definition = definition
        self.chosen = OrchestratorOptions()

    @property
    def name(self) -> str:
        """The registered name."""
        return self.definition.name

    def options(self, **options: Unpack[OrchestratorOptions]) -> Self:
        """The same orchestrator with other options, for calls whose inputs go by keyword. See `StartOptions` for what a
        client's start takes, `ChildOptions` for what a sub-orchestration does."""
        other = copy.copy(self)
        other.chosen = {**self.chosen, **start_options(options, f"orchestrator {self.name!r}")}
        return other

    async def __call__(self, ctx: OrchestrationContext, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, as a part of the orchestration whose context is given."""
        return await self.definition.function(ctx, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<orchestrator {self.name!r}>"
