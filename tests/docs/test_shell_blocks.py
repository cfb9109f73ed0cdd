"""Every block of ```` ```sh ```` of the documents runs: those of one document in order, in one bash, in a folder of its
own, beside a worker that runs the document's `shop.py` on a server of its own.

`redis-cli` and `redurable` go to that server, and port 8080 is one that is free. A block of ```` ```text output ````
behind such a block is what that one prints.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from redurable.core.ids import partition_of
from redurable.store.redis.keys import HubKeys, PartitionKeys
from tests.docs.markdown import ROOT, Block, blocks, documents, name
from tests.support.servers import KINDS
from tests.support.shops import free_port, shop

MODULE = "# shop.py\n"
PREAMBLE = """set -euo pipefail
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
redis-cli() { command redis-cli -u "$REDIS_URL" "$@"; }
"""
SECONDS = 50

EXECUTED = [path for path in documents() if any(block.language == "sh" for block in blocks(path))]


@pytest.mark.requires_tool("redis-cli", package="redis-tools")
@pytest.mark.requires_tool("curl", package="curl")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", EXECUTED, ids=name)
def test_shell_blocks_run(document: Path, kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "redis70":
        request.getfixturevalue("requires_tool")("redis-server", package="redis-server")
    port = str(free_port())
    every = [replace(block, text=block.text.replace("8080", port)) for block in blocks(document)]
    (module,) = [block.text for block in every if block.text.startswith(MODULE)]
    (tmp_path / "shop.py").write_text(module)
    with shop(kind, tmp_path, "--task-queue", "default") as url:
        printed = _printed(every, tmp_path, url)
    for block, following in zip(every, [*every[1:], None], strict=True):
        if block.language == "sh":
            wanted = following.text if following is not None and following.marks == ("output",) else ""
            assert printed.pop(0) == wanted, f"{block.document}:{block.line}"


def _printed(every: Sequence[Block], folder: Path, url: str) -> list[str]:
    """What each block of shell commands prints."""
    texts = [f"{block.text}\necho '<end of line {block.line}>'\n" for block in every if block.language == "sh"]
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        ["bash", "-c", PREAMBLE + "".join(texts)],
        cwd=folder,
        env={**os.environ, "PATH": path, "REDIS_URL": url, "REDURABLE_REDIS_URL": url, "REDURABLE_HUB": "shop"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}:\n{done.stdout}"
    ends = [f"<end of line {block.line}>\n" for block in every if block.language == "sh"]
    printed: list[str] = []
    rest = done.stdout
    for end in ends:
        before, _, rest = rest.partition(end)
        printed.append(before)
    return printed


def test_the_partitions_in_the_protocol_are_right() -> None:
    rows = [line.strip("| ").split(" | ") for line in _protocol() if line.startswith("| `") and line.count("|") == 5]
    vectors = [row for row in rows if all(cell.isdigit() for cell in row[1:])]
    assert len(vectors) >= 5
    for instance, crc, *partitions in vectors:
        named = instance.strip("`")
        expected = [partition_of(named, 2**32), partition_of(named, 16), partition_of(named, 5)]
        assert [int(crc), *map(int, partitions)] == expected


def test_the_protocol_names_every_key() -> None:
    """By the last part of its name: what is new must be said to be public or private."""
    hub, partition = HubKeys("shop"), PartitionKeys("shop", 3)
    keys = [getattr(hub, slot) for slot in HubKeys.__slots__]
    keys += [getattr(partition, slot) for slot in PartitionKeys.__slots__ if slot not in ("_base", "number")]
    named = set("\n".join(_protocol()).partition("## All keys")[2].replace("`", " ").replace(",", " ").split())
    last = {word.rpartition(":")[2] for word in named}
    assert {key.rpartition(":")[2] for key in keys} - last == set()


def _protocol() -> list[str]:
    return (ROOT / "docs" / "protocol.md").read_text().splitlines()
