"""etcd and kube-apiserver as processes of a test: all objects are really admitted, stored and changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from ssl import CERT_NONE, SSLContext, create_default_context
from typing import Any

from tests.conftest import find_tool
from tests.support.shops import free_port

TOKEN = "an-administrator-of-tests"
START_TIMEOUT_S = 60.0


class Cluster:
    """An API server and its etcd in a directory."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._exits = ExitStack()
        self._port = free_port()
        self.environment = {**os.environ, "KUBECONFIG": str(place / "kubeconfig"), "HOME": str(place)}

    def __enter__(self) -> Cluster:
        etcd_port, peer_port = free_port(), free_port()
        here = f"http://127.0.0.1:{etcd_port}"
        peer = f"http://127.0.0.1:{peer_port}"
        etcd = [find_tool("etcd", package="etcd-server"), "--data-dir", str(self._place / "etcd")]
        etcd += ["--listen-client-urls", here, "--advertise-client-urls", here, "--listen-peer-urls", peer]
        etcd += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        self._exits.enter_context(self._process("etcd", etcd))
        self._exits.enter_context(self._process("kube-apiserver", self._api_server(here)))
        self._write_kubeconfig()
        self._wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def kubectl(self, *words: str) -> str:
        """What kubectl prints."""
        return self.run(find_tool("kubectl4", package="fetched by make test-cluster"), *words)

    def get(self, *words: str) -> Any:
        """Objects as JSON."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def run(self, *command: str) -> str:
        """Any program with this cluster as its own; raises with what it said."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def _api_server(self, etcd: str) -> list[str]:
        key, tokens = self._place / "account.key", self._place / "tokens.csv"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens.write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        return [
            find_tool("kube-apiserver", package="built by make test-cluster"),
            f"--etcd-servers={etcd}",
            f"--cert-dir={self._place / 'certificates'}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            "--disable-admission-plugins=ServiceAccount",  # No controller makes tokens here.
            "--service-cluster-ip-range=10.0.0.0/24",
        ]

    @contextmanager
    def _process(self, name: str, command: list[str]) -> Generator[None]:
        with (self._place / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._place)
        try:
            yield
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)

    def _write_kubeconfig(self) -> None:
        server = {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        (self._place / "kubeconfig").write_text(json.dumps(config))

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if time.monotonic() > deadline:
                log = (self._place / "kube-apiserver.log").read_text()[-3000:]
                self.__exit__()
                raise RuntimeError(f"the API server did not get ready:\n{log}")
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        request = urllib.request.Request(
            f"https://127.0.0.1:{self._port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5, context=_trusting()) as answer:
                return answer.read() == b"ok"
        except (urllib.error.URLError, OSError):
            return False


def definitions() -> list[str]:
    """The files with the definitions of other operators' resources."""
    files = sorted((Path(sys.prefix) / "tools" / "crds").glob("*.yaml"))
    assert files, "run `make test-cluster`, which fetches them"
    return [str(file) for file in files]


def _trusting() -> SSLContext:
    """The server's certificate is its own, made a moment ago."""
    context = create_default_context()
    context.check_hostname = False
    context.verify_mode = CERT_NONE
    return context
