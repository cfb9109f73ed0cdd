"""Random orchestrators: a program is a tree of nodes, each of them a piece of code that users write.

A program is the input of one registered orchestrator, `interpret`, which runs it. Everything that happens is noted in a
log; the log is the result, so two runs that differ in the order of anything differ in their result.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Literal, cast

import anyio
import msgspec
from msgspec import Struct

from redurable import App, OrchestrationContext, RetryPolicy


class Run:
    """One execution of a program: its context, what its nodes share, and the log."""

    def __init__(self, ctx: OrchestrationContext) -> None:
        self.ctx = ctx
        self.log: list[str] = []
        self.lock = asyncio.Lock()
        self.tasks: list[asyncio.Task[Any]] = []


class Place:
    """Where in a program a node stands."""

    def __init__(self, run: Run, path: str) -> None:
        self.run = run
        self.ctx = run.ctx
        self.path = path

    def note(self, *said: object) -> None:
        """Something happened here."""
        self.run.log.append(" ".join([self.path, *map(str, said)]))

    async def do(self, node: Node, name: object) -> Any:
        """Run a node that hangs on this one, and note how it ends."""
        place = Place(self.run, f"{self.path}.{name}")
        try:
            result = await node.do(place)
        except BaseException as error:
            place.note(type(error).__name__)
            raise
        place.note("=", result)
        return result

    async def wait_for(self, node: Node, seconds: int) -> Any:
        """Run a node with a time limit. Behind `continue_as_new` even the limit is refused: then it never begins."""
        coroutine = self.do(node, "w")
        try:
            return await asyncio.wait_for(coroutine, seconds)
        finally:
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()

    def all(self, nodes: list[Node]) -> list[Awaitable[Any]]:
        """The nodes as coroutines, not begun."""
        return [self.do(node, number) for number, node in enumerate(nodes)]


class Node(Struct, frozen=True, tag=True):
    """A piece of a program."""

    async def do(self, at: Place) -> Any:
        """Run it."""
        raise NotImplementedError


# -- leaves


class Activity(Node, frozen=True):
    name: str

    async def do(self, at: Place) -> Any:
        return await at.ctx.call_activity(self.name, at.path)


class Child(Node, frozen=True):
    """Without jitter, which differs between executions that differ in nothing else."""

    name: str
    attempts: int = 1

    async def do(self, at: Place) -> Any:
        policy = RetryPolicy(max_attempts=self.attempts)
        return await at.ctx.call_sub_orchestrator(self.name, at.path, retry=policy)


class Event(Node, frozen=True):
    name: str
    timeout: int

    async def do(self, at: Place) -> Any:
        limit = timedelta(seconds=self.timeout) if self.timeout else None
        return await at.ctx.wait_for_external_event(self.name, timeout=limit)


class Sleep(Node, frozen=True):
    seconds: int
    how: Literal["asyncio", "anyio", "timer"]

    async def do(self, at: Place) -> Any:
        match self.how:
            case "asyncio":
                await asyncio.sleep(self.seconds)
            case "anyio":
                await anyio.sleep(self.seconds)
            case "timer":
                await at.ctx.create_timer(timedelta(seconds=self.seconds))


class Tell(Node, frozen=True):
    """What is done without waiting."""

    what: Literal["event", "start", "status"]

    async def do(self, at: Place) -> Any:
        match self.what:
            case "event":
                await at.ctx.raise_event("friend", "Hello", at.path)
            case "start":
                # With an id of its own: generated ones differ between executions that differ in nothing else.
                at.ctx.start_orchestration("Detached", at.path, instance_id=f"detached-{at.path}")
            case "status":
                at.ctx.set_custom_status(at.path)


class Look(Node, frozen=True):
    """What code may know of its run. Some of that follows from the execution's id, the same only for the first."""

    async def do(self, at: Place) -> Any:
        ctx = at.ctx
        known: list[object] = [ctx.history_length, ctx.current_utc_datetime, asyncio.get_running_loop().time()]
        if ctx.execution == FIRST:
            known += [ctx.random.random(), ctx.new_uuid()]
        return known


class Fail(Node, frozen=True):
    async def do(self, at: Place) -> Any:
        raise ValueError(at.path)


class Again(Node, frozen=True):
    """Continue as new, with another program."""

    program: ProgramNode
    keep_events: bool

    async def do(self, at: Place) -> Any:
        at.ctx.continue_as_new(msgspec.to_builtins(self.program), keep_events=self.keep_events)


# -- several


class Several(Node, frozen=True):
    nodes: list[ProgramNode]


class Chain(Several, frozen=True):
    async def do(self, at: Place) -> Any:
        return [await at.do(node, number) for number, node in enumerate(self.nodes)]


class Gather(Several, frozen=True):
    tolerant: bool

    async def do(self, at: Place) -> Any:
        results = await asyncio.gather(*at.all(list(self.nodes)), return_exceptions=self.tolerant)
        return [type(result) if isinstance(result, BaseException) else result for result in results]


class Wait(Several, frozen=True):
    when: Literal["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"]
    seconds: int

    async def do(self, at: Place) -> Any:
        tasks = [asyncio.ensure_future(item) for item in at.all(list(self.nodes))]
        done, pending = await asyncio.wait(tasks, timeout=self.seconds or None, return_when=self.when)
        for task in pending:
            task.cancel()
        return [tasks.index(task) for task in done], [tasks.index(task) for task in pending]


class AsCompleted(Several, frozen=True):
    seconds: int

    async def do(self, at: Place) -> Any:
        return [await item for item in asyncio.as_completed(at.all(list(self.nodes)), timeout=self.seconds or None)]


class Select(Several, frozen=True):
    async def do(self, at: Place) -> Any:
        return await at.ctx.select(*at.all(list(self.nodes)))


class Join(Several, frozen=True):
    async def do(self, at: Place) -> Any:
        return await at.ctx.join(*at.all(list(self.nodes)))


class Group(Several, frozen=True):
    how: Literal["asyncio", "anyio"]

    async def do(self, at: Place) -> Any:
        if self.how == "asyncio":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(cast("Any", item)) for item in at.all(list(self.nodes))]
            return [task.result() for task in tasks]
        async with anyio.create_task_group() as nursery:
            for number, node in enumerate(self.nodes):
                nursery.start_soon(at.do, node, number)
        return None


# -- around one


class Around(Node, frozen=True):
    node: ProgramNode


class Limit(Around, frozen=True):
    seconds: int
    how: Literal["timeout", "wait_for", "move_on_after", "fail_after"]

    async def do(self, at: Place) -> Any:
        match self.how:
            case "timeout":
                async with asyncio.timeout(self.seconds):
                    return await at.do(self.node, "t")
            case "wait_for":
                return await at.wait_for(self.node, self.seconds)
            case "move_on_after":
                with anyio.move_on_after(self.seconds):
                    return await at.do(self.node, "m")
                return "moved on"
            case "fail_after":
                with anyio.fail_after(self.seconds):
                    return await at.do(self.node, "f")


class Shield(Around, frozen=True):
    async def do(self, at: Place) -> Any:
        inner = asyncio.ensure_future(at.do(self.node, "s"))
        try:
            return await asyncio.shield(inner)
        except asyncio.CancelledError:
            at.note("shielded", inner.done())
            raise


class Spawn(Around, frozen=True):
    """A task that nobody waits for."""

    async def do(self, at: Place) -> Any:
        at.run.tasks.append(asyncio.create_task(at.do(self.node, "b")))


class Cancel(Around, frozen=True):
    """A task that is cancelled after something else."""

    first: ProgramNode

    async def do(self, at: Place) -> Any:
        task = asyncio.create_task(at.do(self.node, "c"))
        await at.do(self.first, "before")
        at.note("cancel", task.cancel())
        done, _ = await asyncio.wait([task])
        return [item.cancelled() for item in done]


class Catch(Around, frozen=True):
    async def do(self, at: Place) -> Any:
        try:
            return await at.do(self.node, "try")
        except Exception as error:
            return f"caught {error!r}"


class Finally(Around, frozen=True):
    cleanup: ProgramNode
    shielded: bool

    async def do(self, at: Place) -> Any:
        try:
            return await at.do(self.node, "try")
        finally:
            with anyio.CancelScope(shield=self.shielded):
                await at.do(self.cleanup, "finally")


class Locked(Around, frozen=True):
    """With the one lock of the program; only whoever does not hold it asks for it."""

    async def do(self, at: Place) -> Any:
        if ".l" in at.path:
            return await at.do(self.node, "n")
        async with at.run.lock:
            return await at.do(self.node, "l")


ProgramNode = (
    Activity | Child | Event | Sleep | Tell | Look | Fail | Again
    | Chain | Gather | Wait | AsCompleted | Select | Join | Group
    | Limit | Shield | Spawn | Cancel | Catch | Finally | Locked
)  # fmt: skip

EVENTS = ("A", "B")
"""The names of external events."""

FIRST = "x1"
"""The id of a story's first execution."""

app = App("programs")


@app.orchestrator
async def interpret(ctx: OrchestrationContext, program: dict[str, Any]) -> list[str]:
    """Run a program; its log is the result."""
    run = Run(ctx)
    await Place(run, "p").do(msgspec.convert(program, cast("Any", ProgramNode)), 0)
    return run.log
