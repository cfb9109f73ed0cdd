"""Calls of functions given as a decorated function or by name: what is called, how it travels, what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from redurable.authoring.functions import Activity, Orchestrator
from redurable.authoring.payloads import Codec
from redurable.authoring.policies import RESERVED, OrchestratorOptions, start_options
from redurable.authoring.signature import ByName, Signature
from redurable.core.values import ActivityOptions, Arguments
from redurable.errors import RegistrationError

if TYPE_CHECKING:
    from redurable.authoring.definitions import ActivityDefinition, OrchestratorDefinition
    from redurable.authoring.registry import Registry


class ActivityCall(NamedTuple):
    """A call of an activity, ready for the engine."""

    name: str
    call: Arguments
    options: ActivityOptions
    result: Codec


class StartCall(NamedTuple):
    """A start of an orchestrator, ready for the engine or the store."""

    name: str
    call: Arguments
    options: OrchestratorOptions
    result: Codec


def read_activity_call(activity: Any, args: Sequence[Any], kwargs: dict[str, Any], registry: Registry) -> ActivityCall:
    """What `call_activity` is asked for. By name, an activity of this app's registry keeps its options and types."""
    if isinstance(activity, Activity):
        definition = activity.definition
        signature = definition.signature
        options = activity.options_in(registry)
        return ActivityCall(definition.name, signature.encode(args, kwargs), options, signature.result)
    if not isinstance(activity, str):
        raise RegistrationError(f"{activity!r} is no activity: decorate it with @app.activity, or pass its name")
    known = registry.activity(activity)
    named = _named(known, f"activity {activity!r}", kwargs)
    options = known.options if known else registry.default_options
    return ActivityCall(activity, named.encode(args, kwargs), options, named.result)


def read_start_call(
    orchestrator: Any, args: Sequence[Any], kwargs: dict[str, Any], registry: Registry | None = None
) -> StartCall:
    """What a start is asked for. Options that stand beside the inputs are told from them by their names."""
    chosen = OrchestratorOptions()
    if isinstance(orchestrator, Orchestrator):
        name, signature = orchestrator.name, orchestrator.definition.signature
        chosen = orchestrator.chosen
    elif isinstance(orchestrator, str):
        name = orchestrator
        signature = _named(registry and registry.orchestrator(name), f"orchestrator {name!r}", kwargs)
    else:
        raise RegistrationError(
            f"{orchestrator!r} is no orchestrator: decorate it with @app.orchestrator, or pass its name"
        )
    beside = {option: kwargs.pop(option) for option in RESERVED.intersection(kwargs)}
    given = {option: value for option, value in beside.items() if value is not None}
    options: OrchestratorOptions = {**chosen, **start_options(given, signature.owner)} if given else chosen
    return StartCall(name, signature.encode(args, kwargs), options, signature.result)


def _named(
    known: ActivityDefinition | OrchestratorDefinition | None, owner: str, kwargs: dict[str, Any]
) -> Signature | ByName:
    """The signature of a function called by name; `result_type`, which is not an input, is taken out of `kwargs`."""
    result_type = kwargs.pop("result_type", object)
    return known.signature if known and result_type is object else ByName(owner, result_type)
