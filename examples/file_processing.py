"""File processing: every file of a folder in a thread of its own, with progress that survives an interruption.

What to look at: `count_words` is a plain function, so workers run it in threads, and reading files holds up nobody. It
says how far it has come by `heartbeat`; when an attempt ends early, whatever the reason, the next one finds that as
`last_heartbeat` and goes on there instead of beginning again. It looks at `cancelled` now and then, because a thread
cannot be stopped from outside. A network drive that fails once in the middle of the largest file shows all that.

$ python examples/file_processing.py
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from redurable import ActivityContext, App, Client, OrchestrationContext, RetryPolicy, Worker

app = App("file-processing")

FAILS_AT = {"whale.txt": 600}
"""In which line the drive fails, at the first attempt."""
SAY_EVERY = 100


class Progress(BaseModel):
    """How far an attempt has come: what it says in its heartbeats, and the next one begins with."""

    lines: int = 0
    words: dict[str, int] = {}


class Summary(BaseModel):
    """What is in a folder."""

    files: dict[str, int]
    top: list[tuple[str, int]]
    resumed: dict[str, int]


class Counted(BaseModel):
    """What is in a file, and in which line the attempt that finished it began."""

    words: dict[str, int]
    lines: int
    began_at: int


@app.activity
def list_files(folder: Path) -> list[Path]:
    """The text files, in a fixed order."""
    return sorted(folder.glob("*.txt"))


@app.activity(
    retry=RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=200)),
    heartbeat_timeout=timedelta(seconds=10),
)
def count_words(path: Path) -> Counted:
    """Count the words of a file, from where the last attempt has left it."""
    ctx = ActivityContext.current()
    progress = Progress.model_validate(ctx.last_heartbeat or {})
    words, begin = Counter(progress.words), progress.lines
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines[begin:], start=begin + 1):
        if ctx.cancelled:
            raise InterruptedError(f"nobody waits for {path.name} any more")
        if ctx.attempt == 1 and FAILS_AT.get(path.name) == number:
            raise OSError(f"the drive failed in line {number} of {path.name}")
        words.update(line.split())
        if number % SAY_EVERY == 0:
            ctx.heartbeat(Progress(lines=number, words=words))
    return Counted(words=words, lines=len(lines), began_at=begin + 1)


@app.orchestrator
async def summarize(ctx: OrchestrationContext, folder: Path) -> Summary:
    """All files at once; then one summary."""
    files = await ctx.call_activity(list_files, folder)
    counted = await asyncio.gather(*(ctx.call_activity(count_words, file) for file in files))
    by_name = {file.name: count for file, count in zip(files, counted, strict=True)}
    total = sum((Counter(count.words) for count in counted), Counter[str]())
    return Summary(
        files={name: count.lines for name, count in by_name.items()},
        top=total.most_common(3),
        resumed={name: count.began_at for name, count in by_name.items() if count.began_at > 1},
    )


def write_books(folder: Path) -> None:
    """Something to count."""
    (folder / "whale.txt").write_text("the whale and the sea\n" * 1_000)
    (folder / "island.txt").write_text("the island and the gold\n" * 300)
    (folder / "moon.txt").write_text("the moon\n" * 50)


async def main() -> None:
    """Count the words of three small books."""
    with tempfile.TemporaryDirectory() as name:
        write_books(Path(name))
        async with Worker(app).running(), Client(hub=app.name) as client:
            summary = await (await client.start(summarize, Path(name))).result(timeout=30)
    for file, lines in summary.files.items():
        resumed = f", gone on with in line {summary.resumed[file]}" if file in summary.resumed else ""
        print(f"{file}: {lines} lines{resumed}")
    print(f"most frequent: {', '.join(f'{word} ({count})' for word, count in summary.top)}")


if __name__ == "__main__":
    asyncio.run(main())
