"""How throughput and p99 bend: `./check bench curve [CURVE...]`, plots for docs/performance.md.

One server on one core, except for nodes, which share that core with their PostgreSQL, and for workers: each has a core
of its own, and PostgreSQL whatever it can get, the generator's core included. Each point is the median of the repeats.
Large numbers of families take their time to be put there: forty seconds for each million.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from bench.generator import HERE, first_core
from bench.measure import Options, Point, refreshing
from bench.plot import plot
from bench.processes import Database, Server
from bench.scenarios import shared
from bench.table import published

FOLDER: Final = HERE.parent / "docs" / "performance"
CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
FAMILIES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
MOST_WORKERS: Final = 8  # they share the 64 connections
Points = list[tuple[int, Point]]


def connections(options: Options) -> Points:
    server = Server(families=options.chains)
    refreshing(server, options)()
    points = [(many, middle(refreshing(server, options, many), options)) for many in CONNECTIONS]
    server.stop()
    return points


def families(options: Options) -> Points:
    points = []
    for many in FAMILIES:
        if many <= options.families:
            server = Server(families=many)
            refreshing(server, options)()
            points.append((many, middle(refreshing(server, options), options)))
            server.stop()
    return points


def nodes(options: Options) -> Points:
    return on_one_postgres([first_core()] * 3, Database(), options)


def workers(options: Options) -> Points:
    return on_one_postgres(sorted(os.sched_getaffinity(0))[:MOST_WORKERS], Database(core=None), options)


def on_one_postgres(cores: Sequence[int], database: Database, options: Options) -> Points:
    """One server more for each point, on the next of the cores."""
    servers: list[Server] = []
    points = []
    for core in cores:
        folder = servers[0].folder if servers else None
        families = 0 if servers else options.chains
        servers.append(Server(folder, families=families, postgres=database.address, core=core))
        shared(servers, options, database)
        points.append((len(servers), middle(lambda: shared(servers, options, database), options)))
    for server in servers:
        server.stop()
    return points


def middle(ours: Callable[[], Point], options: Options) -> Point:
    points = [ours() for _ in range(options.repeats)]
    return Point(*(statistics.median(getattr(point, name) for point in points) for name in Point.__struct_fields__))


CURVES: Final[dict[str, Callable[[Options], Points]]] = {
    "connections": connections,
    "families": families,
    "nodes": nodes,
    "workers": workers,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="./check bench curve", description=__doc__)
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"all of them, or: {', '.join(CURVES)}")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--families", type=int, default=1_000_000, help="the most; 10000000 takes ten minutes more")
    asked = parser.parse_args()
    options = Options(seconds=asked.seconds, repeats=asked.repeats, families=asked.families)
    FOLDER.mkdir(exist_ok=True)
    for name in asked.curves or CURVES:
        points = CURVES[name](options)
        for number, point in points:
            print(
                f"{name} {number:>10,}: {point.rate:7,.0f}/s, p99 {point.p99:8.2f} ms, {point.cpu:5.0f} µs", flush=True
            )
        xs, spread = [number for number, _ in points], name in ("connections", "families")
        for figure, unit in (("rate", "refreshes/s"), ("p99", "p99 in ms"), ("cpu", "CPU µs for a refresh")):
            ys = [getattr(point, figure) for _, point in points]
            drawn = plot(f"{unit} against {name}", xs, ys, logarithmic=spread)
            (FOLDER / f"{name}-{figure}.svg").write_text(drawn)
    images = sorted(FOLDER.glob("*.svg"))
    published("curve", "\n".join(f"![{image.stem.replace('-', ', ')}](performance/{image.name})" for image in images))


if __name__ == "__main__":
    main()
