"""A container of a rendered manifest as a process: its command, arguments and environment as Kubernetes makes them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support.helm import Manifest, pod_of

SECONDS = 45.0
POLL_SECONDS = 0.02
Secrets = Mapping[tuple[str, str], str]


def expanded(env: Sequence[Mapping[str, Any]], secrets: Secrets) -> dict[str, str]:
    """The variables: `$(NAME)` of one that stands before, `$$` for a `$`; what is unknown stays as it is."""
    known: dict[str, str] = {}
    for entry in env:
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        value = secrets[source["name"], source["key"]] if source else _filled(str(entry.get("value", "")), known)
        known[entry["name"]] = value
    return known


def _filled(text: str, known: Mapping[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        return known.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_]\w*)\)", fill, text)


class Container:
    """A running container; `ports` maps the container's ports to free ones of this machine."""

    def __init__(
        self, spec: Manifest, home: Path, secrets: Secrets, overrides: Mapping[str, str], ports: Mapping[int, int]
    ) -> None:
        self._spec, self._home, self._ports = spec, home, ports
        self._named = {port["name"]: port["containerPort"] for port in spec.get("ports", ())}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REDURABLE_")}
        # As in the image: the program lies in a directory of the path.
        self._environment = {**clean, "PYTHONPATH": str(home), **expanded(spec["env"], secrets), **overrides}
        program = str(Path(sys.executable).with_name(spec["command"][0]))
        self._log = home / f"log-{len(list(home.glob('log-*')))}"
        with self._log.open("wb") as lines:
            self._process = subprocess.Popen(
                [program, *spec["command"][1:], *map(self._moved, spec["args"])],
                cwd=home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
            )

    def _moved(self, word: str) -> str:
        for port, moved in self._ports.items():
            word = re.sub(rf"port={port}$", f"port={moved}", word)
        return word

    def command(self, *words: str) -> str:
        """What the command line says in the same environment."""
        program = str(Path(sys.executable).with_name("redurable"))
        done = subprocess.run(
            [program, *words], cwd=self._home, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def finished(self) -> str:
        """What it has said, when it has ended well."""
        assert self.ended(SECONDS) == 0, self.said
        return self.said

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def until(self, words: str) -> None:
        """Wait until it has said that."""
        self._until(lambda: words in self.said, words)

    def until_path(self, name: str) -> None:
        """Wait for a file of its directory."""
        self._until((self._home / name).exists, name)

    def read(self, name: str) -> str:
        """A file of its directory."""
        return (self._home / name).read_text()

    def write(self, name: str, text: str) -> None:
        """Write a file of its directory."""
        (self._home / name).write_text(text)

    def probe(self, name: str) -> int:
        """The status that a kubelet gets; 0: nobody answers."""
        asked = self._spec[name]["httpGet"]
        port = self._named[asked["port"]]
        try:
            return httpx2.get(f"http://127.0.0.1:{self._ports.get(port, port)}{asked['path']}").status_code
        except httpx2.TransportError:
            return 0

    def until_probe(self, name: str, status: int) -> None:
        """Wait for that answer."""
        self._until(lambda: self.probe(name) == status, f"{name} is {status}")

    def send(self, number: signal.Signals) -> None:
        """A signal to process 1."""
        self._process.send_signal(number)

    def ended(self, seconds: float) -> int:
        """Its exit code, within that time."""
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self._process.poll() is None, f"it ended with {self._process.returncode}:\n{self.said}"
            assert time.monotonic() < deadline, f"not within {SECONDS:g} s: {what}\n{self.said}"
            time.sleep(POLL_SECONDS)


@contextmanager
def started(
    manifest: Manifest, home: Path, secrets: Secrets, overrides: Mapping[str, str], ports: Mapping[int, int]
) -> Generator[Container]:
    """The one container of a manifest, as long as the block lasts; of its variables, `overrides` are others here."""
    pod = pod_of(manifest)
    assert pod is not None
    (spec,) = pod["containers"]
    container = Container(spec, home, secrets, overrides, ports)
    try:
        yield container
    finally:
        container.close()
