"""The refresh grant under load: `python bench/refresh.py [--seconds 8] [--repeats 3] [--families 10000]`.

One server process on one core, the generator on another; every rotation is fsynced before its answer. Prints a table:
median of the repeats, with their range. The machine is noisy: compare figures of one run, not of two.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load import Run

BASIC = ("bench", "bench-secret")
HEAD = (
    "| access token | connections | refreshes/s (range) | p50 ms | p99 ms | CPU µs | signatures "
    "| reads | updates | inserts | commits |"
)
SIGNATURES = {"api": 1, "openid api": 2}


@dataclass
class Server:
    """The server process, pinned to the first core."""

    process: subprocess.Popen[str]
    url: str

    @classmethod
    def start(cls, folder: Path, alg: str, families: int, scope: str) -> "Server":
        here = Path(__file__).parent / "server.py"
        process = subprocess.Popen(
            [sys.executable, str(here), str(folder), alg, str(families), scope],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
        )
        assert process.stdout
        return cls(process, json.loads(process.stdout.readline())["url"])

    def figures(self) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("figures\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


def measured(server: Server, pool: deque[str], connections: int, seconds: float) -> dict[str, float]:
    """One run: per second, milliseconds, and per refresh."""
    before = server.figures()
    run = Run(server.url, BASIC, pool, connections, seconds)
    took = asyncio.run(run.go())
    after = server.figures()
    if run.bad:
        raise SystemExit(f"{len(run.bad)} bad answers, the first: {run.bad[0]!r}")
    ok = len(run.latencies)
    ordered = sorted(run.latencies)
    per = {name: (after[name] - before[name]) / ok for name in ("reads", "writes", "inserts", "commits")}
    return {
        "rate": ok / took,
        "p50": 1000 * ordered[ok // 2],
        "p99": 1000 * ordered[int(ok * 0.99)],
        "cpu": 1e6 * (after["cpu"] - before["cpu"]) / ok,
        **per,
    }


def row(alg: str, scope: str, connections: int, runs: list[dict[str, float]]) -> str:
    def median(name: str) -> float:
        return statistics.median(each[name] for each in runs)

    rates = [each["rate"] for each in runs]
    return (
        f"| {alg} | {connections} | **{median('rate'):.0f}** ({min(rates):.0f}–{max(rates):.0f}) | "
        f"{median('p50'):.2f} | {median('p99'):.2f} | {median('cpu'):.0f} | {SIGNATURES[scope]} | "
        f"{median('reads'):.3f} | {median('writes'):.3f} | {median('inserts'):.3f} | {median('commits'):.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--families", type=int, default=10_000)
    parser.add_argument("--algs", default="RS256 ES256")
    parser.add_argument("--scope", default="api", choices=SIGNATURES)
    parser.add_argument("--connections", default="1 16 64")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(HEAD, "|---|" + "--:|" * 10, sep="\n")
    for alg in options.algs.split():
        with tempfile.TemporaryDirectory() as folder:
            server = Server.start(Path(folder), alg, options.families, options.scope)
            pool = deque((Path(folder) / "tokens").read_text().split())
            measured(server, pool, 16, 2)  # warm-up
            for connections in map(int, options.connections.split()):
                runs = [measured(server, pool, connections, options.seconds) for _ in range(options.repeats)]
                print(row(alg, options.scope, connections, runs), flush=True)
            server.stop()


if __name__ == "__main__":
    main()
