"""What the server itself does: XADD on 50 connections, one command at a time on each (as `redis-benchmark -c 50 -P 1`,
which not every machine has). Plain sockets; at this rate Python is not what limits it by much.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.errors import BenchmarkFailed
from benchmarks.report import Figures

CONNECTIONS = 50
ANSWER_SECONDS = 10.0
KEY = "bench-xadd"
WORDS = ("XADD", KEY, "*", "f", "v")
COMMAND = "".join((f"*{len(WORDS)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in WORDS))).encode()


async def run(bench: Bench, notes: dict[str, str]) -> Figures:
    lane = bench.lane()
    try:
        rate = _rate(str(bench.socket), bench.sizes.xadds // CONNECTIONS)
        length = await lane.call("XLEN", KEY)
        await lane.call("DEL", KEY)
    finally:
        await lane.close()
    if length != bench.sizes.xadds // CONNECTIONS * CONNECTIONS:
        raise BenchmarkFailed(f"the stream has {length} entries, expected {bench.sizes.xadds}")
    notes["redis_xadd_p1_per_s"] = f"{CONNECTIONS} connections"
    return {"redis_xadd_p1_per_s": rate}


def _rate(path: str, rounds: int) -> float:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(CONNECTIONS)]
        for each in sockets:
            each.settimeout(ANSWER_SECONDS)
            each.connect(path)
        begin = time.perf_counter()
        for _ in range(rounds):
            for each in sockets:
                each.send(COMMAND)
            for each in sockets:
                if not each.recv(64).startswith(b"$"):
                    raise BenchmarkFailed("the server did not take an XADD")
        return rounds * CONNECTIONS / (time.perf_counter() - begin)
