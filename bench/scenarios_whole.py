"""What is measured of the whole rather than of a grant: size, start, growth, strangers beside honest clients, disks.

Rates of one kind of request are in scenarios.py.
"""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.generator import BASIC, CREDENTIALS, HERE, Load, generator_core, pinned
from bench.load import Rotate, Run
from bench.measure import Bar, Line, Options, Point, judged, line, median, refreshing, run, times_slower
from bench.processes import Server, resident_megabytes
from bench.resource import rates
from bench.server import PASSWORD, PEOPLE

DETENT = (sys.executable, "-c", "from detent.cli import main; main()")
AT_ONCE = 64


class Storm(NamedTuple):
    """Requests a second, and how many connections they come by."""

    rate: int
    lanes: int


GARBAGE, SIGN_INS = Storm(10_000, 64), Storm(200, 500)


def families(options: Options) -> Iterator[Line]:
    """Many families against the usual number, in turn."""
    few, many = Server(families=options.chains), Server(families=options.families)
    rounds = [
        (refreshing(few, options)(), refreshing(many, options)()) for _ in range(options.repeats + 1)
    ][1:]  # fmt: skip
    ratio = statistics.median(large.rate / small.rate for small, large in rounds)
    points = [large for _, large in rounds]
    line = judged(f"refresh with {options.families:,} families", Bar(), points, None)
    note = f"{ratio:.2f} × the rate with {options.chains:,}"
    if options.families < 10_000_000:
        note += "; 10,000,000: `--families 10000000`"
    yield Line(
        line.item, "≥ 0.70 ×", line.ours, None, line.p50, line.p99, line.cpu, ratio >= 0.7, note
    )  # fmt: skip
    few.stop()
    many.stop()


def start(options: Options) -> Iterator[Line]:
    """`detent serve` on a store with families: from the start of the process to the first 200, and its idle memory."""
    seeded = Server(families=options.chains)
    seeded.stop()
    took, memory = [], []
    for _ in range(options.repeats + 1):
        milliseconds, megabytes = _started(seeded.folder)
        took.append(milliseconds)
        memory.append(megabytes)
    took, memory = took[1:], memory[1:]
    for name, limit, unit, figures in (
        ("start to first 200, existing store", 600, "ms", took),
        ("idle memory (RSS)", 75, "MB", memory),
    ):
        middle = statistics.median(figures)
        ours = f"{middle:.0f} {unit} ({min(figures):.0f}–{max(figures):.0f})"
        yield Line(name, f"≤ {limit} {unit}", ours, met=middle <= limit)


def _started(data: Path) -> tuple[float, float]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DETENT_")}
    env |= {"DETENT_DATA": str(data), "DETENT_ISSUER": "https://id.example/"}
    command = [*pinned(min(os.sched_getaffinity(0))), *DETENT, "serve", "--port", "0", "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    try:
        line = process.stdout.readline()
        if not line:
            sys.exit("detent serve did not start")
        url = f"http://127.0.0.1:{json.loads(line)['port']}/.well-known/openid-configuration"
        assert httpx.get(url, headers={"Host": "id.example"}).status_code == 200
        took = 1000 * (time.perf_counter() - began)
        time.sleep(1)
        return took, resident_megabytes(process.pid)
    finally:
        process.kill()
        process.wait()


def growth(options: Options) -> Iterator[Line]:
    """Memory and rows before and after many refreshes."""
    server = Server(families=options.chains)
    load = Load("rotate", server.token_url, (server.tokens,))
    run(server.pids(), [load], options.seconds)  # every table and cache in use
    before, rows_before, done = resident_megabytes(server.process.pid), _rows(server.folder), 0
    while done < options.refreshes:
        done += round(run(server.pids(), [load], options.seconds).rate * options.seconds)
    grown, rows = resident_megabytes(server.process.pid) - before, _rows(server.folder) - rows_before
    note = "" if done >= 1_000_000 else "1,000,000: `--refreshes 1000000`"
    yield Line(
        f"growth after {done:,} refreshes", "≤ 5 MB, 0 rows", f"{grown:.1f} MB, {rows} rows",
        met=grown <= 5 and rows == 0, note=note,
    )  # fmt: skip
    server.stop()


def _rows(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'detent.db'}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return sum(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables)  # noqa: S608


def resource_server(options: Options) -> Iterator[Line]:
    """The library for APIs, in one process without a network, against the bare check of a signature."""
    rounds = []

    def checked() -> Point:
        rounds.append(rates(options.seconds))
        return Point(rounds[-1][0], 0, 0, 0)

    seen = line("resource server, token seen before", Bar(rate=500_000), options, checked)
    yield Line(seen.item, seen.bar, seen.ours, met=seen.met, note=seen.note)
    fresh, bare = (statistics.median(each[place] for each in rounds[1:]) for place in (1, 2))
    share = statistics.median(each[1] / each[2] for each in rounds[1:])
    note = f"{share:.0%} of the bare signature's {bare:,.0f}/s"
    yield Line(
        "resource server, ES256 token never seen", "≥ 92 % of the bare signature", f"{fresh:,.0f}/s",
        met=share >= 0.92, note=note,
    )  # fmt: skip


def garbage(options: Options) -> Iterator[Line]:
    """Honest refreshes at half of what the core can do, alone and beside a flood of refresh tokens nobody issued.

    Like every rate that was set on one machine, the flood's is weighed by how fast this one is.
    """
    slower = times_slower(options)
    flood = Storm(round(GARBAGE.rate / slower), GARBAGE.lanes)
    server = Server(families=options.chains)
    run(server.pids(), [Load("rotate", server.token_url, (server.tokens,))], options.seconds)
    full = refreshing(server, options)()
    pause = max(1, round(1000 * AT_ONCE / (full.rate / 2) - full.p50 / 2))
    honest = Load("rotate", server.token_url, (server.tokens,), AT_ONCE, pause)
    body = "grant_type=refresh_token&refresh_token=dtrt_"
    bodies = [body + f"{number:084x}" for number in range(1000)]
    quiet, flooded = [], []
    told = ""
    for _ in range(options.repeats):
        quiet.append(run(server.pids(), [honest], options.seconds))
        point, told = _beside(server, bodies, flood, honest, options)
        flooded.append(point)
    ratio = median(flooded, "p99") / median(quiet, "p99")
    note = f"{ratio:.2f} × the quiet p99 of {median(quiet, 'p99'):.2f} ms at {median(quiet, 'rate'):,.0f}/s; {told}"
    if slower > 1:
        note += f"; {flood.rate:,}/s here, {slower:.1f} times slower"
    line = judged(f"honest refreshes beside {GARBAGE.rate:,} garbage tokens/s", Bar(), flooded, None)
    yield Line(
        line.item, "p99 ≤ 2 × quiet", line.ours, None, line.p50, line.p99, None, ratio <= 2, note
    )  # fmt: skip
    server.stop()


def sign_ins(options: Options) -> Iterator[Line]:
    """Sign-ins by password, each a real hash, beside refreshes at full load; most are told to come back."""
    server = Server(families=options.chains)
    body = f"grant_type=password&password={PASSWORD.replace(' ', '+')}&username=person-"
    bodies = [body + str(number) for number in range(PEOPLE)]
    honest = Load("rotate", server.token_url, (server.tokens,))
    run(server.pids(), [honest], options.seconds)
    told, points = "", []
    for _ in range(options.repeats):
        point, told = _beside(server, bodies, SIGN_INS, honest, options)
        points.append(point)
    yield judged(f"refreshes beside {SIGN_INS.rate} sign-ins/s", Bar(p99=250), points, None, told)
    server.stop()


def _beside(server: Server, bodies: list[str], storm: Storm, honest: Load, options: Options) -> tuple[Point, str]:
    """The honest load while a storm goes on; and what became of the storm."""
    file = server.folder / "storm"
    file.write_text("\n".join(bodies) + "\n")
    asked = [server.token_url, str(storm.rate), str(options.seconds + 1), str(storm.lanes), str(file)]
    command = [*pinned(generator_core()), sys.executable, str(HERE / "storm.py"), *asked]
    env = {**os.environ, "OA_BASIC": BASIC}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        time.sleep(0.5)
        point = run(server.pids(), [honest], options.seconds)
        told = json.loads(process.communicate()[0])
    became = [f"{many:,} × {status}" for status, many in sorted(told["statuses"].items())]
    if left := told["sent"] - sum(told["statuses"].values()):
        became.append(f"{left:,} had to wait")
    return point, f"of {told['sent']:,} sent: {', '.join(became)}"


def durable(options: Options) -> Iterator[Line]:
    """Syncs counted by the kernel beside commits counted by the store; then a kill in the middle, and all is there."""
    server = Server(families=options.chains)
    if shutil.which("strace"):
        yield _syncs(server, options)
    yield _killed(server, options)


def _syncs(server: Server, options: Options) -> Line:
    log = server.folder / "strace"
    command = ["strace", "-f", "-c", "-U", "name,calls", "-e", "trace=fsync,fdatasync", "-o", str(log)]
    before = server.tell("figures")
    with subprocess.Popen([*command, "-p", str(server.process.pid)], stderr=subprocess.DEVNULL) as strace:
        time.sleep(0.5)
        point = refreshing(server, options)()
        strace.terminate()
    after = server.tell("figures")
    commits, updates = (after[name] - before[name] for name in ("commits", "writes"))
    syncs = sum(int(found) for found in re.findall(r"^f(?:data)?sync\s+(\d+)", log.read_text(), re.MULTILINE))
    ours = f"{updates:,} rotations, {commits:,} commits, {syncs:,} syncs"
    note = f"{point.rate:,.0f}/s under strace, {updates / max(1, commits):.1f} rotations a commit"
    return Line("syncs that the kernel saw", "≥ commits", ours, met=syncs >= commits > 0, note=note)


def _killed(server: Server, options: Options) -> Line:
    """Whatever was acknowledged before a `kill -9` must be good afterwards; what was under way may be either."""
    os.environ["OA_BASIC"] = BASIC
    script = Rotate(server.tokens)
    first = set(script.pool)
    load = Run(script, server.token_url, AT_ONCE, options.seconds)

    async def until_killed() -> None:
        with suppress(OSError):
            going = asyncio.create_task(load.go())
            await asyncio.sleep(options.seconds * 0.7)
            server.kill()
            await going

    asyncio.run(until_killed())
    rotated = [token for token in script.pool if token not in first]
    again = Server(server.folder, families=0)
    with httpx.Client(auth=CREDENTIALS) as http:
        good = sum(_redeems(http, again.token_url, token) for token in rotated)
    again.stop()
    ours = f"{len(load.latencies):,} acknowledged, {len(rotated):,} chains, {good:,} go on"
    return Line("acknowledged rotations after `kill -9`", "none lost", ours, met=good == len(rotated) > 0)


def _redeems(http: httpx.Client, url: str, token: bytes) -> bool:
    form = {"grant_type": "refresh_token", "refresh_token": token.decode()}
    return http.post(url, data=form).status_code == 200
