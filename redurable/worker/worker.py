"""The composition of a worker: which roles it plays, what they share, and how they begin and end together.

async with Worker(app, "redis://localhost:6379") as worker:
    await worker.run()                      # until worker.stop(), or until cancelled
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Literal, Self, cast, get_args

import anyio
from anyio.abc import TaskGroup

from redurable.authoring.app import App
from redurable.core.ids import check_name
from redurable.errors import CallerError, WorkerStopped
from redurable.facts import Facts
from redurable.settings import WorkerSettings
from redurable.store.address import open_hub, where
from redurable.store.port import Store
from redurable.store.unknown import UnknownInstance
from redurable.worker.activities import Activities
from redurable.worker.cache import ReplayCache
from redurable.worker.clock import StoreClock
from redurable.worker.code import Code
from redurable.worker.commit import Commits
from redurable.worker.common import Common, log
from redurable.worker.completions import Completions
from redurable.worker.crew import TASKS, TURNS, Crew
from redurable.worker.drain import Parts, drain
from redurable.worker.ends import Ends
from redurable.worker.holdings import Holdings
from redurable.worker.intake import Intake
from redurable.worker.janitor import Janitor
from redurable.worker.leases import Reclaiming, Renewal
from redurable.worker.mailbox import Handed, Lane, Stealing
from redurable.worker.membership import Membership
from redurable.worker.outbox import Outbox
from redurable.worker.ownership import Ownership, new_worker_id
from redurable.worker.patience import PatientStore, open_patiently
from redurable.worker.reception import Reception
from redurable.worker.retention import Retention
from redurable.worker.role import Role
from redurable.worker.slots import Slots
from redurable.worker.sweeper import Sweeper
from redurable.worker.timers import Timers
from redurable.worker.turn_thread import TurnThread
from redurable.worker.turns import Pipeline

WorkerRole = Literal["orchestrations", "activities"]
ROLES = frozenset(get_args(WorkerRole))
OWN_READS = 4
"""Beside turns, the activities' own reads ask for a quarter of the free slots: the rest is left to commits."""


class Worker:
    """Runs the code of one or more apps.

    Positional arguments: the apps, then the store's address (default: REDURABLE_REDIS_URL, else embedded). `hub`
    defaults to the name of the app. `roles`: "orchestrations", "activities" or both. `task_queues` defaults to all that
    the registered activities name, and "default". Errors: `CallerError` for arguments that cannot be right, its
    subclass `RegistrationError` for apps that cannot work.

    `id` is the worker's name in the store; `facts` tells subscribers what happens.
    """

    def __init__(
        self,
        *apps_and_address: App | str | None,
        hub: str | None = None,
        roles: Iterable[str] | None = None,
        task_queues: Iterable[str] | None = None,
        settings: WorkerSettings | None = None,
    ) -> None:
        apps, self._address = _split(apps_and_address)
        self.hub = hub or _common_name(apps)
        self.roles = _checked(roles)
        self.settings = settings or WorkerSettings()
        self.facts = Facts()
        self.id = new_worker_id()
        self._apps = apps
        self._code = Code(apps)
        self._queues = self._code.queues(_checked_queues(task_queues))
        self._store: Store | None = None
        self._owns_store = True
        self._stop = asyncio.Event()
        self._death: WorkerStopped | None = None

    @classmethod
    def from_store(
        cls,
        apps: App | Sequence[App],
        store: Store,
        *,
        roles: Iterable[str] | None = None,
        task_queues: Iterable[str] | None = None,
        settings: WorkerSettings | None = None,
    ) -> Self:
        """A worker over a store that the caller has opened and will close; it goes by the store's `consumer`."""
        together = [apps] if isinstance(apps, App) else apps
        worker = cls(*together, hub=store.hub, roles=roles, task_queues=task_queues, settings=settings)
        worker.id = store.consumer
        worker._store = store
        worker._owns_store = False
        return worker

    async def __aenter__(self) -> Self:
        for app in self._apps:
            app.registry.prepare()
        if self._store is None:
            most = self.settings.max_payload_bytes
            store = open_hub(self._address, self.hub, consumer=self.id, max_payload=most)
            try:
                await open_patiently(store, self.settings, where(self._address))
                await self._tell_rule(store)
            except BaseException:
                await _close(store)
                raise
            self._store = store
        else:
            await self._tell_rule(self._store)
        return self

    async def _tell_rule(self, store: Store) -> None:
        """The hub's rule for events of unknown instances is what its workers are told, if they are told anything."""
        rule = UnknownInstance.told(self.settings)
        if rule is not None:
            await PatientStore(store, self.settings, self.facts).set_unknown(rule)
            log.info("hub %s: events for instances that do not exist: %s", self.hub, rule.rule)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        store, self._store = self._store, None
        if store is not None and self._owns_store:
            await _close(store)

    def stop(self) -> None:
        """Finish what is running, hand back the rest, and let `run` return; see `drain_timeout_ms`."""
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop` is called, or until cancelled. Raises `WorkerStopped` when one of its roles dies."""
        if self._store is None:
            raise CallerError("this worker is not open: write `async with Worker(…) as worker: await worker.run()`")
        common = Common(
            store=PatientStore(self._store, self.settings, self.facts),
            settings=self.settings,
            facts=self.facts,
            clock=StoreClock(),
            ownership=Ownership(self.id, self._store.partitions),
            holdings=Holdings(),
            reception=Reception(),
            crew=Crew(self.id),
        )
        thread = TurnThread(self._code, self.settings)
        cache = ReplayCache(self.settings.cache_instances, self.settings.cache_bytes, self.facts)
        try:
            await self._work(common, thread, cache)
        finally:
            await thread.close(cache.clear())
        if self._death is not None:
            raise self._death

    async def _work(self, common: Common, thread: TurnThread, cache: ReplayCache) -> None:
        parts, roles = self._compose(common, thread, cache)
        try:
            await self._work_until_stopped(parts, roles)
        finally:
            await parts.membership.abandon()

    async def _work_until_stopped(self, parts: Parts, roles: Sequence[Role]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._guard, "membership", partial(self._begin, parts, roles, group), group)
            await self._stop.wait()
            log.info("worker %s stops", self.id)
            await self._guard("drain", partial(drain, parts), group)
            group.cancel_scope.cancel()

    async def _begin(self, parts: Parts, roles: Sequence[Role], group: TaskGroup) -> None:
        """The first heartbeat comes before all else: it tells which partitions are whose, and what time it is."""
        with parts.common.reception.reading():
            await parts.membership.poll()
        if not parts.common.reception.open:
            return
        log.info("worker %s works for hub %s as %s", self.id, self.hub, ", ".join(sorted(self.roles)))
        for role in roles:
            group.start_soon(self._guard, role.name, role.run, group)

    async def _guard(self, role: str, work: Callable[[], Awaitable[None]], group: TaskGroup) -> None:
        """A role that dies takes the worker with it: a worker without timers or leases would only look alive."""
        try:
            await work()
        except Exception as error:
            cause = _first(error)
            if self._death is None:
                self._death = WorkerStopped(f"the role {role} died: {type(cause).__name__}: {cause}")
                self._death.__cause__ = cause
            log.error("worker %s stops: %s", self.id, self._death)
            group.cancel_scope.cancel()

    def _compose(self, common: Common, thread: TurnThread, cache: ReplayCache) -> tuple[Parts, list[Role]]:
        turns, tasks = TURNS in self.roles, TASKS in self.roles
        skills = self._code.skills(self.roles, self._queues)
        membership, timers, outbox, ends = Membership(common, skills), Timers(common), Outbox(common), Ends()
        retention = Retention(common)
        slots = Slots(self._queues, self.settings)
        activities = Activities(common, self._code, slots, ends, OWN_READS if turns else 2) if tasks else None
        pipeline = (
            Pipeline(common, thread, cache, Commits(common, timers, outbox, retention, activities)) if turns else None
        )
        roles: list[Role] = [membership, Janitor(common), timers]
        roles += [Renewal(common, activities), Reclaiming(common, pipeline, activities)]
        if pipeline is not None:
            roles += [Lane(common, pipeline, number) for number in range(self.settings.lanes)]
            roles += [Handed(common, pipeline), Stealing(common, pipeline), outbox, retention]
            roles += [Intake(common), Sweeper(common)]
        if activities is not None:
            roles += [activities, Completions(common, ends, timers, pipeline)]
        return Parts(common, membership, ends, outbox, pipeline, activities), roles


def _split(arguments: Sequence[App | str | None]) -> tuple[list[App], str | None]:
    apps = [argument for argument in arguments if isinstance(argument, App)]
    rest = arguments[len(apps) :]
    if not apps or len(rest) > 1 or any(isinstance(argument, App) for argument in rest):
        raise CallerError(f"Worker{tuple(arguments)!r}: give one App or several, then the address of the store")
    address = rest[0] if rest else None
    return apps, None if isinstance(address, App) else address


def _common_name(apps: Sequence[App]) -> str:
    names = sorted({app.name for app in apps})
    if len(names) > 1:
        raise CallerError(f"the apps {', '.join(names)} have different default hubs: choose one with hub=…")
    return names[0]


def _checked(roles: Iterable[str] | None) -> frozenset[str]:
    chosen = ROLES if roles is None else frozenset(roles)
    if not chosen or not chosen <= ROLES:
        raise CallerError(f"roles {sorted(chosen)}: choose one or both of {', '.join(sorted(ROLES))}")
    return chosen


def _checked_queues(names: Iterable[str] | None) -> list[str] | None:
    if isinstance(names, str):
        raise CallerError(f"task_queues={names!r} is one text: write task_queues={{{names!r}}}")
    return None if names is None else sorted(check_name(name, "task queue") for name in names)


def _first(error: Exception) -> Exception:
    """The error itself, out of the groups that task groups wrap it in."""
    if isinstance(error, ExceptionGroup):
        return _first(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error


async def _close(store: Store) -> None:
    with anyio.CancelScope(shield=True):
        await store.close()
