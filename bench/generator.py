"""Asks a server as fast as it answers, checks every answer: by wrk where there is one, else by load.py.

`Shot` is what one run saw. Both generators take the same scripts by name (rotate, list, post, get) with the same
arguments. wrk needs a fraction of a core; the one in Python reaches about 3,000 requests a second and limits what is
measured from there on, which the table says.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

HERE: Final = Path(__file__).parent
CREDENTIALS: Final = ("bench", "bench-secret")
BASIC: Final = base64.b64encode(":".join(CREDENTIALS).encode()).decode()
WRK: Final = shutil.which("wrk")


class Shot(msgspec.Struct, frozen=True):
    """`p50` and `p99` are in milliseconds; `broken` counts connections and time-outs."""

    ok: int
    bad: int
    broken: int
    seconds: float
    p50: float
    p99: float
    refused: str = ""

    @property
    def rate(self) -> float:
        return self.ok / self.seconds


class Load(NamedTuple):
    """`script ARGUMENTS` at `url`, by this many connections; each rests `pause` ms, on the average, before one."""

    script: str
    url: str
    arguments: tuple[str, ...] = ()
    connections: int = 64
    pause: int = 0
    again: bool = False
    basic: bool = True


def first_core() -> int:
    return min(os.sched_getaffinity(0))


def pinned(core: int | None) -> tuple[str, ...]:
    """What runs a command on this core; on all of them where there is no other to keep it from."""
    return ("taskset", "-c", str(core)) if core is not None and len(os.sched_getaffinity(0)) > 1 else ()


def generator_core() -> int:
    return max(os.sched_getaffinity(0))


def fire(loads: Sequence[Load], seconds: float) -> list[Shot]:
    """All at once. Exits with the first wrong answer, for a rate of wrong answers means nothing."""
    processes = [_started(load, seconds) for load in loads]
    shots = [_read(process, load) for process, load in zip(processes, loads, strict=True)]
    for shot, load in zip(shots, loads, strict=True):
        if shot.bad or shot.broken:
            sys.exit(f"{load.url}: {shot.ok} good answers, {shot.bad} bad, {shot.broken} broken; {shot.refused}")
    return shots


def _started(load: Load, seconds: float) -> subprocess.Popen[str]:
    asked = {"OA_BASIC": BASIC if load.basic else "", "OA_LIB": str(HERE / "wrk" / "common.lua")}
    asked |= {"OA_PAUSE": str(load.pause)} if load.pause else {}
    asked |= {"OA_AGAIN": "yes"} if load.again else {}
    many, long = str(load.connections), f"{max(1, round(seconds))}"
    if WRK:
        script = str(HERE / "wrk" / f"{load.script}.lua")
        command = [WRK, "-t1", f"-c{many}", f"-d{long}s", "--timeout", "20s", "--latency", "-s", script, load.url, "--"]
    else:
        command = [sys.executable, str(HERE / "load.py"), load.script, load.url, many, long]
    command = [*pinned(generator_core()), *command, *load.arguments]
    return subprocess.Popen(command, env={**os.environ, **asked}, stdout=subprocess.PIPE, text=True)


def _read(process: subprocess.Popen[str], load: Load) -> Shot:
    said, _ = process.communicate()
    for line in said.splitlines():
        if line.startswith("RESULT "):
            return msgspec.convert(json.loads(line.removeprefix("RESULT ")), Shot, strict=False)
    return sys.exit(f"{load.url}: the generator said no result but: {said[-500:]}")
