"""A data pipeline of several stages: extract, validate, transform (in parallel), load.

What to look at: the stages hand each other the *names* of files, not what is in them, so histories stay small however
much data there is. Each stage writes files under names that depend only on its input, and moves them into place when
they are complete: an attempt that is repeated changes nothing. The custom status tells whoever asks which stage runs.

$ python examples/data_pipeline.py
"""

from __future__ import annotations

import asyncio
import csv
import json
import tempfile
from pathlib import Path

from pydantic import BaseModel

from redurable import App, Client, OrchestrationContext, Worker

app = App("data-pipeline")

SALES = """country,article,quantity,cents
PT,lamp,2,4900
LV,chair,4,12500
PT,chair,one,12500
PE,lamp,1,4900
LV,sofa,-1,89900
PT,sofa,1,89900
"""


class Checked(BaseModel):
    """What the validation made of a file: a file for each country, and why lines were refused."""

    parts: dict[str, Path]
    refused: list[str]


class Report(BaseModel):
    """What the pipeline loaded."""

    revenue: dict[str, int]
    refused: list[str]
    loaded_into: Path


@app.activity
def extract(source: Path, folder: Path) -> Path:
    """Fetch the raw data."""
    return _write(folder / "raw.csv", source.read_text())


@app.activity
def validate(raw: Path, folder: Path) -> Checked:
    """Split the good lines by country; say what is wrong with the others."""
    good: dict[str, list[dict[str, str]]] = {}
    refused: list[str] = []
    for number, line in enumerate(csv.DictReader(raw.read_text().splitlines()), start=2):
        if line["quantity"].isdigit():
            good.setdefault(line["country"], []).append(line)
        else:
            refused.append(f"line {number}: a quantity of {line['quantity']!r}")
    parts = {country: _write(folder / f"{country}.json", json.dumps(lines)) for country, lines in good.items()}
    return Checked(parts=parts, refused=refused)


@app.activity
def transform(part: Path) -> int:
    """The revenue of one country, in cents."""
    return sum(int(line["quantity"]) * int(line["cents"]) for line in json.loads(part.read_text()))


@app.activity
def load(revenue: dict[str, int], folder: Path) -> Path:
    """Put the result where others find it."""
    return _write(folder / "revenue.json", json.dumps(revenue, indent=2))


def _write(path: Path, text: str) -> Path:
    incomplete = path.with_suffix(".incomplete")
    incomplete.write_text(text)
    return incomplete.rename(path)


@app.orchestrator
async def pipeline(ctx: OrchestrationContext, source: Path, folder: Path) -> Report:
    """Stage by stage; the countries of a stage side by side."""
    ctx.set_custom_status("extracting")
    raw = await ctx.call_activity(extract, source, folder)
    ctx.set_custom_status("validating")
    checked = await ctx.call_activity(validate, raw, folder)
    ctx.set_custom_status(f"transforming {len(checked.parts)} countries")
    sums = await asyncio.gather(*(ctx.call_activity(transform, part) for part in checked.parts.values()))
    revenue = dict(zip(checked.parts, sums, strict=True))
    ctx.set_custom_status("loading")
    loaded = await ctx.call_activity(load, revenue, folder)
    ctx.set_custom_status("done")
    return Report(revenue=revenue, refused=checked.refused, loaded_into=loaded)


async def main() -> None:
    """Run the pipeline over a small file with two bad lines."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "sales.csv"
        source.write_text(SALES)
        async with Worker(app).running(), Client(hub=app.name) as client:
            handle = await client.start(pipeline, source, Path(name))
            report = await handle.result(timeout=30)
        for country, cents in report.revenue.items():
            print(f"{country}: {cents / 100:,.2f} EUR")
        for reason in report.refused:
            print(f"refused {reason}")
        print(f"{report.loaded_into.name} holds {json.loads(report.loaded_into.read_text())}")


if __name__ == "__main__":
    asyncio.run(main())
