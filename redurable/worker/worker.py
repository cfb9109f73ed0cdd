"""The composition of a worker: which roles it plays, what they share, and how they begin and end together.

async with Worker(app, "redis://localhost:6379") as worker:
    await worker.run()                      # until worker.stop(), or until cancelled

async with Worker([orders, billing], hub="shop").running():
    ...                                     # works beside what this program does here
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Literal, Self, cast, get_args

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from redurable.authoring.app import App
from redurable.core.ids import check_name
from redurable.core.traces import Tracing
from redurable.errors import CallerError, WorkerStopped
from redurable.facts import Facts
from redurable.settings import WorkerSettings
from redurable.store.address import open_hub, where
from redurable.store.port import Hub
from redurable.store.unknown import UnknownInstance
from redurable.worker.activities import Activities
from redurable.worker.cache import ReplayCache
from redurable.worker.cancellations import Cancellations
from redurable.worker.clock import StoreClock
from redurable.worker.code import Code
from redurable.worker.commit import Commits
from redurable.worker.common import Common, log
from redurable.worker.completions import Completions
from redurable.worker.crew import TASKS, TURNS, Crew
from redurable.worker.drain import Parts, drain
from redurable.worker.ends import Ends
from redurable.worker.expiry import Expiry
from redurable.worker.foreign import Foreign
from redurable.worker.holdings import Holdings
from redurable.worker.intake import Intake
from redurable.worker.janitor import Janitor, Mending
from redurable.worker.leases import Reclaiming, Renewal
from redurable.worker.mailbox import Handed, Lane, Stealing
from redurable.worker.membership import Membership
from redurable.worker.outbox import Outbox
from redurable.worker.ownership import Ownership, new_worker_id
from redurable.worker.patience import PatientStore, open_patiently
from redurable.worker.polls import Polls
from redurable.worker.reception import Reception
from redurable.worker.retention import Retention
from redurable.worker.role import Role
from redurable.worker.slots import Slots
from redurable.worker.survey import Survey
from redurable.worker.sweeper import Sweeper
from redurable.worker.timers import Timers
from redurable.worker.turn_thread import TurnThread
from redurable.worker.turns import Pipeline
from redurable.worker.vitals import Vitals

WorkerRole = Literal["orchestrations", "activities"]
ROLES = frozenset(get_args(WorkerRole))
OWN_READS = 4
"""Beside turns, the activities' own reads ask for a quarter of the free slots: the rest is left to commits."""


class Worker:
    """Runs the code of one app or of several.

    `address`: see the documentation of store addresses; None: the environment variable REDURABLE_REDIS_URL, else the
    embedded server. `hub` defaults to the name of the app; several apps of different names need one. `roles`:
    "orchestrations", "activities" or both. `task_queues` defaults to all that the registered activities name, and
    "default". Errors: `CallerError` for arguments that cannot be right, its subclass `RegistrationError` for apps that
    cannot work.

    `id` is the worker's name in the store; `facts` tells subscribers what happens; `tracing` is set by
    `redurable.telemetry.tracing.instrument`. A worker touches neither signals nor anything else of its process.
    """

    def __init__(
        self,
        apps: App | Sequence[App],
        address: str | None = None,
        *,
        hub: str | None = None,
        roles: Iterable[str] | None = None,
        task_queues: Iterable[str] | None = None,
        settings: WorkerSettings | None = None,
    ) -> None:
        self._apps = _checked_apps(apps, address)
        self._address = address
        self.hub = hub or _common_name(self._apps)
        self.roles = _checked(roles)
        self.settings = settings or WorkerSettings()
        self.facts = Facts()
        self.tracing: Tracing | None = None
        self.id = new_worker_id()
        self._code = Code(self._apps)
        self._queues = self._code.queues(_checked_queues(task_queues))
        self._store: Hub | None = None
        self._owns_store = True
        self._clock = StoreClock()
        self._stop = asyncio.Event()
        self._running = False
        self._death: WorkerStopped | None = None

    @classmethod
    def from_store(
        cls,
        apps: App | Sequence[App],
        store: Hub,
        *,
        roles: Iterable[str] | None = None,
        task_queues: Iterable[str] | None = None,
        settings: WorkerSettings | None = None,
    ) -> Self:
        """A worker over a store that the caller has opened and will close; it goes by the store's `consumer`."""
        worker = cls(apps, hub=store.hub, roles=roles, task_queues=task_queues, settings=settings)
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

    async def _tell_rule(self, store: Hub) -> None:
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

    @property
    def is_running(self) -> bool:
        """True while it works: between the beginning of `run` and its end."""
        return self._running

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Open the worker, and let it work in the background for as long as the block lasts; then it stops, as after
        `stop`. An error of the block ends it at once. When it dies, the block is cancelled, and `WorkerStopped` raised.
        """
        async with self:
            work = asyncio.get_running_loop().create_task(self.run())
            with anyio.CancelScope() as block:
                work.add_done_callback(lambda work: block.cancel() if _died(work) else None)
                try:
                    yield self
                except BaseException:
                    work.cancel()
                    await asyncio.wait([work])
                    raise
            self.stop()
            await work

    async def run(self) -> None:
        """Work until `stop` is called, or until cancelled. Raises `WorkerStopped` when one of its roles dies."""
        if self._store is None:
            raise CallerError("this worker is not open: write `async with Worker(…) as worker: await worker.run()`")
        common = Common(
            store=PatientStore(self._store, self.settings, self.facts),
            settings=self.settings,
            facts=self.facts,
            clock=self._clock,
            ownership=Ownership(self.id, self._store.partitions),
            holdings=Holdings(),
            reception=Reception(),
            crew=Crew(self.id),
            polls=Polls(),
            tracing=self.tracing,
        )
        thread = TurnThread(self._code, self.settings, self.tracing)
        cache = ReplayCache(self.settings.cache_instances, self.settings.cache_bytes, self.facts)
        self._running = True
        try:
            await self._work(common, thread, cache)
        finally:
            self._running = False
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
            if parts.cancellations is not None:
                await parts.cancellations.catch_up()
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
        skills = replace(self._code.skills(self.roles, self._queues), surveys=self.facts.hub)
        membership, timers, outbox, ends = Membership(common, skills), Timers(common), Outbox(common), Ends()
        retention = Retention(common)
        slots = Slots(self._queues, self.settings)
        activities = Activities(common, self._code, slots, ends, OWN_READS if turns else 2) if tasks else None
        pipeline = (
            Pipeline(common, thread, cache, Commits(common, timers, outbox, retention, activities)) if turns else None
        )
        roles: list[Role] = [membership, Janitor(common), timers, Survey(common, self._code.queues(None))]
        roles += [Vitals(common, slots if tasks else None, pipeline, cache)]
        roles += [Renewal(common, activities), Reclaiming(common, pipeline, activities)]
        if pipeline is not None:
            roles += [Lane(common, pipeline, number) for number in range(self.settings.lanes)]
            roles += [Handed(common, pipeline), Stealing(common, pipeline), outbox, retention]
            roles += [Intake(common), Sweeper(common), Expiry(common), Mending(common)]
            roles += [Foreign(common, timers, self._queues if tasks else ())]
        cancellations = None
        if activities is not None:
            cancellations = Cancellations(common, activities)
            roles += [activities, cancellations, Completions(common, ends, timers, pipeline)]
        return Parts(common, membership, ends, outbox, pipeline, activities, cancellations), roles


def _checked_apps(apps: object, address: object) -> Sequence[App]:
    given: Sequence[object] = list(cast("Sequence[object]", apps)) if isinstance(apps, list | tuple) else [apps]
    found = [app for app in given if isinstance(app, App)]
    if not found or len(found) < len(given) or not isinstance(address, str | None):
        raise CallerError(
            f"Worker({apps!r}, {address!r}): give one App, or a list of them, and then the address of the store"
        )
    return found


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


def _died(work: asyncio.Task[None]) -> bool:
    return not work.cancelled() and work.exception() is not None


async def _close(store: Hub) -> None:
    with anyio.CancelScope(shield=True):
        await store.close()
