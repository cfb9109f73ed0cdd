"""A real Prometheus for tests: it scrapes workers every second, evaluates the rules, and is asked by its HTTP API."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import anyio.to_thread
import yaml
from msgspec import Struct

from prometheus.files import FOLDER, SETS
from tests.support.processes import until

JOB = "redurable"


class Series(Struct, frozen=True):
    """A series of an answer; `points` are (Unix time, value), without those that are not a number."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class PrometheusServer:
    """The program, scraping these ports of this machine. End it by `close`."""

    def __init__(self, program: str, directory: Path, port: int, targets: Sequence[int]) -> None:
        config = directory / "prometheus.yaml"
        rules = [str(FOLDER / "rules" / f"{name}.yaml") for name in SETS]
        scraped = [{"targets": [f"127.0.0.1:{target}" for target in targets]}]
        spans = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        jobs = [{"job_name": JOB, "static_configs": scraped}]
        config.write_text(yaml.safe_dump({"global": spans, "rule_files": rules, "scrape_configs": jobs}))
        self._log = directory / "prometheus.log"
        self._url = f"http://127.0.0.1:{port}"
        with self._log.open("wb") as lines:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={directory / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )

    async def ready(self) -> None:
        """Wait until it answers."""
        await until(self._is_ready, f"Prometheus answers; it said:\n{self._log.read_text()[-2000:]}")

    async def range(self, query: str, start: float, end: float, step: float = 1) -> list[Series]:
        """A query over a span of time.

        Raises:
            ValueError: Prometheus refuses it.
        """
        found = await self._ask("query_range", query=query, start=start, end=end, step=step)
        return [_series(each["metric"], each["values"]) for each in found["result"]]

    async def instant(self, query: str, at: float) -> list[Series]:
        """A query at a moment.

        Raises:
            ValueError: Prometheus refuses it.
        """
        found = await self._ask("query", query=query, time=at)
        return [_series(each["metric"], [each["value"]]) for each in found["result"]]

    async def values(self, label: str, of: str) -> list[str]:
        """The values of a label, as a dashboard's variable gets them."""
        found: list[str] = await self._ask(f"label/{label}/values", **{"match[]": of})
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule, and how its last evaluation went."""
        found = await self._ask("rules")
        return [rule for group in found["groups"] for rule in group["rules"]]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    async def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return bool(await anyio.to_thread.run_sync(_get, f"{self._url}/-/ready"))
        except OSError:
            return False

    async def _ask(self, verb: str, **words: object) -> Any:
        answer = await anyio.to_thread.run_sync(_get, f"{self._url}/api/v1/{verb}?{urlencode(words)}")
        told = json.loads(answer)
        if told["status"] != "success":
            raise ValueError(f"{words}: {told['error']}")
        return told["data"]


def _get(url: str) -> bytes:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.read()
    except HTTPError as error:
        if error.code == 503:
            raise
        return error.read()


def _series(labels: Mapping[str, str], points: Sequence[tuple[float, str]]) -> Series:
    numbers = ((at, float(value)) for at, value in points)
    return Series(labels, tuple((at, value) for at, value in numbers if not math.isnan(value)))
