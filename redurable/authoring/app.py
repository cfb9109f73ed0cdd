"""The App: where application code registers its functions. Its decorators work bare and with options."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from redurable.authoring.context import OrchestrationContext
from redurable.authoring.definitions import ActivityDefinition, OrchestratorDefinition
from redurable.authoring.functions import Activity, AsyncActivity, Orchestrator, SyncActivity
from redurable.authoring.methods import methods_of
from redurable.authoring.policies import ActivityCallOptions, RetryPolicy, activity_options, check_options
from redurable.authoring.registry import Registry
from redurable.authoring.scan import modules_of
from redurable.core.ids import check_hub_name
from redurable.core.values import ActivityOptions
from redurable.errors import RegistrationError

P = ParamSpec("P")
R = TypeVar("R")

_NAME_ONLY = frozenset({"name"})


class ActivityDecorator(Protocol):
    """What `@app.activity(…)` decorates with."""

    # Here and below: what is awaited matches both, and the first that matches counts.
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> AsyncActivity[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncActivity[P, R]: ...


class OrchestratorDecorator(Protocol):
    """What `@app.orchestrator(…)` decorates with."""

    def __call__(
        self, function: Callable[Concatenate[OrchestrationContext, P], Awaitable[R]], /
    ) -> Orchestrator[P, R]: ...


class App:
    """The orchestrators and activities that belong together.

    `name` is also the default hub: 1 to 63 of the characters a-z, 0-9 and `-`, else `InvalidName`. `default_retry` is
    the policy of activities that have none of their own: 3 attempts, waiting 1 s and then 2 s, unless given.
    """

    def __init__(self, name: str, *, default_retry: RetryPolicy | None = None) -> None:
        self.name = check_hub_name(name)
        self.registry = Registry(ActivityOptions(retry=(default_retry or RetryPolicy()).wire))

    @overload
    def activity(self, function: Callable[P, Awaitable[R]], /) -> AsyncActivity[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def activity(self, function: Callable[P, R], /) -> SyncActivity[P, R]: ...
    @overload
    def activity(
        self,
        /,
        *,
        name: str | None = None,
        retry_if: Callable[[Exception], bool] | None = None,
        **options: Unpack[ActivityCallOptions],
    ) -> ActivityDecorator: ...
    def activity(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        retry_if: Callable[[Exception], bool] | None = None,
        **options: Any,
    ) -> Any:
        """Register a function as an activity: any code, run at least once per call, retried by its policy.

        `name` defaults to the function's own. `retry_if` is a plain function that the worker which ran an attempt asks
        whether its error is worth another one, beside the policy; it must be quick, and is not asked about attempts
        that nobody ran to their end: those of workers that crashed, and those that are completed by token. What it
        raises is how the call fails. As the `Handle` of Azure's .NET `RetryOptions`. The other options are the defaults
        of its calls: see `ActivityCallOptions`. The decorated function can still be called directly. Raises
        `RegistrationError`, which says what to change.
        """
        chosen = activity_options(options, self.registry.default_options, f"activity {name or ''}".strip())

        def register(function: Callable[..., Any]) -> Activity[..., Any]:
            definition = ActivityDefinition(function, name, chosen, retry_if)
            self.registry.add_activity(definition)
            kind = AsyncActivity[..., Any] if definition.is_async else SyncActivity[..., Any]
            return kind(function, definition)

        return register if function is None else register(function)

    @overload
    def orchestrator(
        self, function: Callable[Concatenate[OrchestrationContext, P], Awaitable[R]], /
    ) -> Orchestrator[P, R]: ...
    @overload
    def orchestrator(self, /, *, name: str | None = None) -> OrchestratorDecorator: ...
    def orchestrator(self, function: Any = None, /, **options: Any) -> Any:
        """Register an async function as an orchestrator: deterministic code whose first parameter is the context.

        `name` defaults to the function's own. The decorated function can still be called with a context. Raises
        `RegistrationError`, which says what to change.
        """
        name: str | None = options.get("name")
        check_options(options, _NAME_ONLY, f"orchestrator {name or ''}".strip())

        def register(function: Callable[..., Awaitable[Any]]) -> Orchestrator[..., Any]:
            definition = OrchestratorDefinition(function, name, self.registry)
            self.registry.add_orchestrator(definition)
            return Orchestrator[..., Any](function, definition)

        return register if function is None else register(function)

    def add_activities(self, instance: object) -> None:
        """Register the methods of `instance` that are decorated with `@activity`, bound to it: its attributes are what
        they need. Orchestrators call them through the class: `ctx.call_activity(Payments.charge, order)`.

        Do it where the worker is made. Raises `RegistrationError`, also for a second instance of the same class.
        """
        for attribute, method in methods_of(instance):
            self.registry.add_activity(method.bound_to(instance, attribute, self.registry))

    def include(self, other: App) -> None:
        """Register all that another app has, and what is added to it later. Its functions keep the options that they
        have there. Raises `RegistrationError` for a name that both have."""
        if other is self:
            raise RegistrationError(f"{self!r} cannot include itself")
        self.registry.include(other.registry)

    def scan(self, package: str) -> None:
        """Import all modules of a package, recursively, so that their decorators run, and include the apps that are
        attributes of these modules.

        `package` is its name, as for `import`. Raises `RegistrationError` for a module that is missing or fails, and
        for a package in which nothing is registered.
        """
        for module in modules_of(package):
            for value in list(vars(module).values()):
                if isinstance(value, App) and value is not self:
                    self.include(value)
        if not any(self.registry.places_in(package)):
            raise RegistrationError(
                f"scan({package!r}): none of its modules registers a function: decorate some with @app.orchestrator or "
                "@app.activity, of this app or of one that is an attribute of its module"
            )

    def __repr__(self) -> str:
        return f"App({self.name!r})"
