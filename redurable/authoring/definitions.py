"""Where the engine meets user code: an orchestrator as the turn runs it, an activity as its runner calls it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from redurable.authoring.context import OrchestrationContext
from redurable.authoring.failures import failure_of
from redurable.authoring.logs import Running, running
from redurable.authoring.policies import RESERVED
from redurable.authoring.signature import Signature
from redurable.core.definition import Scope
from redurable.core.ids import check_name
from redurable.core.values import ActivityOptions, Arguments, Failure
from redurable.errors import RegistrationError

if TYPE_CHECKING:
    from redurable.authoring.registry import Registry


class OrchestratorDefinition:
    """Fulfils `core.definition.Definition`."""

    def __init__(self, function: Callable[..., Awaitable[Any]], name: str | None, registry: Registry) -> None:
        self.name, owner = _identify(function, name, "orchestrator")
        if not inspect.iscoroutinefunction(function):
            raise RegistrationError(f"{owner} is not an async function: write `async def`")
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters or parameters[0].kind not in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            raise RegistrationError(f"{owner} has no context: its first parameter must be `ctx: OrchestrationContext`")
        self.function = function
        self.registry = registry
        self.signature = Signature(owner, function, skip=1)
        for reserved in RESERVED.intersection(self.signature.names):
            raise RegistrationError(f"{owner}: parameter {reserved!r} has the name of a start option: rename it")

    async def run(self, scope: Scope, call: Arguments) -> Raw:
        """User code from its decoded inputs to its encoded result. A call that does not fit raises `InvalidPayload`."""
        running.set(Running(self.name, scope))
        args, kwargs = self.signature.decode(call)
        result = await self.function(OrchestrationContext(scope, self), *args, **kwargs)
        return self.signature.result.encode(result)

    def failure(self, error: BaseException) -> Failure:
        """An error of user code in a form that can be stored."""
        return failure_of(error)


class ActivityDefinition:
    """An activity: `bind` a task's call, call `function` (await it if `is_async`), `encode` what it returns.

    `options` are the defaults of its calls; `retry_if` is asked whether an error is worth another attempt; `skip`
    parameters at the front of `function` are not inputs.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        options: ActivityOptions,
        retry_if: Callable[[Exception], bool] | None = None,
        skip: int = 0,
    ) -> None:
        self.name, owner = _identify(function, name, "activity")
        if retry_if is not None and (not callable(retry_if) or inspect.iscoroutinefunction(retry_if)):
            raise RegistrationError(f"{owner}: retry_if={retry_if!r}: use a plain function of the error")
        self.retry_if = retry_if
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise RegistrationError(f"{owner} yields: an activity has one result, so return a list")
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.options = options
        self.signature = Signature(owner, function, skip)

    def bind(self, call: Arguments) -> tuple[list[Any], dict[str, Any]]:
        """The inputs as Python values; raises `InvalidPayload`."""
        return self.signature.decode(call)

    def encode(self, result: object) -> Raw:
        """The result's payload; raises `InvalidPayload`."""
        return self.signature.result.encode(result)


def _identify(function: Any, name: str | None, kind: str) -> tuple[str, str]:
    """The registered name, and how errors name the function."""
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise RegistrationError(f"{function!r} cannot be an {kind}: decorate a function")
    if name is None and not function.__name__.isidentifier():
        raise RegistrationError(f"{function!r} has no name: give it one with name=…")
    name = check_name(function.__name__ if name is None else name, kind)
    return name, f"{kind} {name!r}"
