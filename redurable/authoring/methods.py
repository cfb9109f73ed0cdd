"""Activities that are methods, for those that need something given to them: a connection, a client, settings.

    class Payments:
        def __init__(self, gateway: Gateway) -> None: ...

        @activity(retry=RetryPolicy(max_attempts=5))
        async def charge(self, order: Order) -> Receipt: ...

    app.add_activities(Payments(gateway))                  # where the worker is made
    await ctx.call_activity(Payments.charge, order)        # in an orchestrator, which needs the class alone

Looked up on the class, such a method is an `Activity` without `self`; on an instance, it is the method. The class may
be abstract, and a subclass may override the method, decorated again: what is registered is that of the instance.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

from redurable.authoring.definitions import ActivityDefinition
from redurable.authoring.functions import Activity
from redurable.authoring.policies import ActivityCallOptions, activity_options
from redurable.authoring.registry import Registry
from redurable.core.values import ActivityOptions
from redurable.errors import RegistrationError

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class MethodActivity(Activity[P, R_co]):
    """An activity as its class knows it: without the instance that will run it, and without the app's defaults."""

    def __init__(self, function: Callable[..., Any], definition: ActivityDefinition, given: dict[str, Any]) -> None:
        super().__init__(function, definition)
        self._given = given
        self._resolved: tuple[Registry, ActivityOptions] | None = None

    def options_in(self, registry: Registry) -> ActivityOptions:
        """What is not decided here is decided by the app of the orchestrator that calls."""
        if self._resolved is None or self._resolved[0] is not registry:
            self._resolved = registry, self._with_defaults(registry)
        return self._resolved[1]

    def options(self, **options: Unpack[ActivityCallOptions]) -> Self:
        other = super().options(**options)
        other._given = {**self._given, **options}
        other._resolved = None
        return other

    def bound_to(self, instance: object, attribute: str, registry: Registry) -> ActivityDefinition:
        """What a worker runs: the method of this instance."""
        options, retry_if = self._with_defaults(registry), self.definition.retry_if
        return ActivityDefinition(getattr(instance, attribute), self.name, options, retry_if)

    def _with_defaults(self, registry: Registry) -> ActivityOptions:
        return activity_options(self._given, registry.default_options, f"activity {self.name!r}")


class ActivityMethod(Generic[P, R_co]):
    """What `@activity` makes of a method."""

    def __init__(self, definition: ActivityDefinition, given: dict[str, Any]) -> None:
        function = self._function = definition.function
        self._handle: MethodActivity[P, R_co] = MethodActivity(function, definition, given)
        # What abc asks of a method that must be overridden.
        self.__isabstractmethod__ = getattr(function, "__isabstractmethod__", False)
        self.__doc__ = function.__doc__

    @property
    def handle(self) -> MethodActivity[P, R_co]:
        """The activity without its instance."""
        return self._handle

    def method_of(self, instance: object, owner: type[Any]) -> Any:
        """The method itself, bound to an instance."""
        return self._function.__get__(instance, owner)


class SyncActivityMethod(ActivityMethod[P, R_co]):
    """A plain method; it runs in a thread of the worker."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Activity[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, R_co]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        return self.handle if instance is None else self.method_of(instance, owner)


class AsyncActivityMethod(ActivityMethod[P, R_co]):
    """An `async def` method; it runs on the worker's event loop."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Activity[P, R_co]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, Awaitable[R_co]]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        return self.handle if instance is None else self.method_of(instance, owner)


class MethodDecorator(Protocol):
    """What `@activity(…)` decorates with."""

    # Here and below: what is awaited matches both, and the first that matches counts.
    @overload
    def __call__(self, method: Callable[Concatenate[Any, P], Awaitable[R]], /) -> AsyncActivityMethod[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, method: Callable[Concatenate[Any, P], R], /) -> SyncActivityMethod[P, R]: ...


@overload
def activity(method: Callable[Concatenate[Any, P], Awaitable[R]], /) -> AsyncActivityMethod[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def activity(method: Callable[Concatenate[Any, P], R], /) -> SyncActivityMethod[P, R]: ...
@overload
def activity(
    *,
    name: str | None = None,
    retry_if: Callable[[Exception], bool] | None = None,
    **options: Unpack[ActivityCallOptions],
) -> MethodDecorator: ...
def activity(
    method: Any = None,
    /,
    *,
    name: str | None = None,
    retry_if: Callable[[Exception], bool] | None = None,
    **options: Any,
) -> Any:
    """Make a method an activity of its class; `app.add_activities(instance)` registers those of an instance.

    `name` defaults to the method's own; the options are those of `@app.activity`, which is for functions. Raises
    `RegistrationError`.
    """
    chosen = activity_options(options, ActivityOptions(), f"activity {name or ''}".strip())

    def make(method: Callable[..., Any]) -> ActivityMethod[..., Any]:
        definition = ActivityDefinition(method, name, chosen, retry_if, skip=1)
        kind = AsyncActivityMethod[..., Any] if definition.is_async else SyncActivityMethod[..., Any]
        return kind(definition, options)

    return make if method is None else make(method)


def methods_of(instance: object) -> Iterator[tuple[str, MethodActivity[..., Any]]]:
    """The activities among the methods of an instance, those of its base classes first. Raises `RegistrationError`."""
    found: dict[str, MethodActivity[..., Any]] = {}
    for owner in reversed(type(instance).__mro__):
        for attribute, value in vars(owner).items():
            if isinstance(value, ActivityMethod):
                handle = cast("ActivityMethod[..., Any]", value).handle
                _check_override(found.get(attribute), handle, owner)
                found[attribute] = handle
    if isinstance(instance, type) or not found:
        shown = f"the class {instance.__name__}" if isinstance(instance, type) else f"a {type(instance).__name__}"
        raise RegistrationError(
            f"add_activities() got {shown}: give it an instance of a class with methods decorated by @activity"
        )
    yield from found.items()


def _check_override(
    base: MethodActivity[..., Any] | None, override: MethodActivity[..., Any], owner: type[Any]
) -> None:
    if base is not None and base.name != override.name:
        raise RegistrationError(
            f"{owner.__qualname__} overrides activity {base.name!r} as {override.name!r}, so who calls the first would "
            f"not find it: write @activity(name={base.name!r})"
        )
