"""Commands that say how things stand: explain, watch, queues."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from redurable.cli.command import Target, command
from redurable.cli.history import full_records, rows
from redurable.cli.messages import IdArgument
from redurable.cli.output import Output, Record, one_line, print_record, print_records, to_json
from redurable.client import Reason, Status
from redurable.client.explaining import advised
from redurable.core.events import HistoryRow
from redurable.store.depths import Depth, Depths


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "explain")(explain)
    command(app, "watch")(watch)
    command(app, "queues")(queues)


async def explain(target: Target, instance_id: IdArgument) -> None:
    """Say why an instance does not move: what it waits for, and who has to do something."""
    async with target.client() as client:
        reasons = await client.explain(instance_id)
    print_records([_reason(reason, target.output) for reason in reasons], target.output)


async def watch(
    target: Target,
    instance_id: IdArgument,
    from_now: Annotated[bool, typer.Option("--from-now", help="Leave out what has happened so far.")] = False,
) -> None:
    """Follow an instance live, event by event, until it ends.

    Exit code 1 when it ends otherwise than completed. With -o jsonl or json: a line of JSON for each event.
    """
    seen, execution, last, held = 0, "", None, None
    async with target.client() as client:
        async for status in client.watch(instance_id):
            last = status
            if status.quarantined not in (None, held):
                said = f"it is quarantined: {status.quarantined}; {advised('explain', instance_id)} says more"
                print(f"redurable: {one_line(said)}", file=sys.stderr, flush=True)
            held = status.quarantined
            history = status.history or []
            if status.execution != execution:
                seen = len(history) if from_now and not execution else 0
                execution = status.execution
            _print_news(history, seen, target.output)
            seen = len(history)
    assert last is not None, "an instance that is found has a status"
    print_record(_end(last), Output.JSONL if target.output is Output.JSON else target.output)
    if last.runtime_status != "Completed":
        raise typer.Exit(1)


async def queues(
    target: Target,
    task_queue: Annotated[
        list[str] | None, typer.Option("--task-queue", metavar="QUEUE", help="Also one that no worker serves.")
    ] = None,
) -> None:
    """Show how much work lies where: turns to take, tasks by queue, and what waits to be handed on."""
    async with target.client() as client:
        found = await client.depths(task_queue or ())
    if target.output is Output.TABLE:
        print_records([_depth(name, depth) for name, depth in _named(found)], target.output)
        print()
    print_record(_summary(found, target.output), target.output)


def _reason(reason: Reason, output: Output) -> Record:
    return {
        "waits_for": reason.kind,
        "since": _moment(reason.since),
        "until": _moment(reason.until),
        "blocked": ("yes" if reason.blocked else "") if output is Output.TABLE else reason.blocked,
        "what": reason.text,
    }


def _print_news(history: Sequence[HistoryRow], seen: int, output: Output) -> None:
    """The rows behind those that were printed before."""
    if output is Output.TABLE:
        for row in rows(history)[seen:]:
            told = one_line(str(row["details"]))
            print(f"{row['time']}  {row['event']:<28} {row['seq'] or '':>4}  {told}", flush=True)
    else:
        for record in full_records(history[seen:]):
            print(to_json(record), flush=True)


def _end(status: Status) -> Record:
    failure = status.failure
    return {
        "instance_id": status.instance_id,
        "runtime_status": status.runtime_status,
        "output": status.output,
        "error": f"{failure.type}: {failure.message}" if failure else None,
    }


def _named(found: Depths) -> list[tuple[str, Depth]]:
    return [("(turns)", found.ready), *sorted(found.queues.items())]


def _depth(name: str, depth: Depth) -> Record:
    return {
        "queue": name,
        "waiting": depth.lag,
        "running": depth.pending,
        "workers": depth.consumers,
        "oldest_waits_s": round(depth.waiting_ms / 1000, 1),
        "oldest_runs_s": round(depth.pending_ms / 1000, 1),
    }


def _summary(found: Depths, output: Output) -> Record:
    """What lies elsewhere; for programs, the queues, too."""
    rest = {
        "open_instances": found.open,
        "timers": found.timers,
        "due_timers": found.due,
        "intake": found.intake,
        "outbox": found.outbox,
        "answers": found.answers,
        "dead_letters": found.dead,
    }
    return rest if output is Output.TABLE else {"queues": [_depth(*one) for one in _named(found)], **rest}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")
