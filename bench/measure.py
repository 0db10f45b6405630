"""From runs to lines of the table: ours and the yardstick in turn, medians, and whether a bar was reached.

Bars were set on one machine. A ratio to the yardstick holds on any; what a bar says in requests or milliseconds is
weighed by how fast the yardstick is here beside what it was there. Rule: a bar that is missed is told as such.
"""

import socket
import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

import msgspec

from bench.generator import Load, fire
from bench.processes import Server, Yardstick, cpu_seconds

WHERE_BARS_WERE_SET: Final = {"ES256": 2_500, "RS256": 1_333}  # refreshes of the yardstick a second


class Options(msgspec.Struct, frozen=True):
    """`families` is the large number of the scenario `families`, `refreshes` how many `growth` makes."""

    seconds: float = 4
    repeats: int = 3
    chains: int = 10_000
    families: int = 200_000
    refreshes: int = 100_000
    yardstick: bool = True


class Bar(msgspec.Struct, frozen=True):
    """What must be reached; `most` are limits of other figures by name. 0: nothing is asked of it."""

    rate: float = 0
    ratio: float = 0
    p99: float = 0

    def __str__(self) -> str:
        asked = [f"{self.ratio:g} ×"] if self.ratio else []
        asked += [f"{self.rate:,.0f}/s"] if self.rate else []
        asked += [f"p99 ≤ {self.p99:g} ms"] if self.p99 else []
        return ", ".join(asked)


class Point(msgspec.Struct, frozen=True):
    """One run: answers a second, milliseconds, and microseconds of the processes an answer."""

    rate: float
    p50: float
    p99: float
    cpu: float


class Line(msgspec.Struct, frozen=True):
    """One row of the table; `met` is None where nothing is asked."""

    item: str
    bar: str
    ours: str
    ratio: float | None = None
    p50: float | None = None
    p99: float | None = None
    cpu: float | None = None
    met: bool | None = None
    note: str = ""


def run(pids: Iterable[int], loads: Sequence[Load], seconds: float) -> Point:
    """All loads at once; what several do is one figure, and its latency that of the slowest."""
    pids = tuple(pids)
    before = cpu_seconds(pids)
    shots = fire(loads, seconds)
    spent = cpu_seconds(pids) - before
    return Point(
        sum(shot.rate for shot in shots),
        max(shot.p50 for shot in shots),
        max(shot.p99 for shot in shots),
        1e6 * spent / max(1, sum(shot.ok for shot in shots)),
    )


@cache
def yardstick(alg: str, chains: int) -> Yardstick:
    """Started once and kept: it idles while others are measured."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Yardstick(alg, port, chains)


def yardstick_run(alg: str, options: Options) -> Callable[[], Point] | None:
    if not (options.yardstick and Yardstick.is_here()):
        return None
    peer = yardstick(alg, options.chains)
    load = Load("rotate", peer.token_url, (peer.tokens,))
    return lambda: run(peer.pids(), [load], options.seconds)


def times_slower(options: Options) -> float:
    """This machine beside the one where the bars were set, by the yardstick; 1 where there is none."""
    peer = yardstick_run("ES256", options)
    return _slower("ES256", [peer() for _ in range(options.repeats + 1)][1:]) if peer else 1


def _slower(alg: str, peers: Sequence[Point]) -> float:
    return WHERE_BARS_WERE_SET[alg] / median(peers, "rate")


def in_turn(options: Options, ours: Callable[[], Point], peer: Callable[[], Point] | None) -> list[tuple[Point, ...]]:
    """Ours and the yardstick, `repeats` times after a first time that does not count."""
    return [tuple(each() for each in (peer, ours) if each) for _ in range(options.repeats + 1)][1:]


def line(
    item: str, bar: Bar, options: Options, ours: Callable[[], Point], *, against: str = "ES256", note: str = ""
) -> Line:
    """Measure ours against the yardstick with this kind of signature, which always refreshes at 64 connections."""
    rounds = in_turn(options, ours, yardstick_run(against, options))
    points = [each[-1] for each in rounds]
    if len(rounds[0]) == 1:
        return judged(item, bar, points, None, note)
    ratio = statistics.median(each[-1].rate / each[0].rate for each in rounds)
    slower = _slower(against, [each[0] for each in rounds])
    if bar.p99 or not bar.ratio:
        note = "; ".join(part for part in (note, f"{slower:.1f} times slower here") if part)
    return judged(item, bar, points, ratio, note, slower)


def judged(
    item: str, bar: Bar, points: Sequence[Point], ratio: float | None, note: str = "", slower: float = 1
) -> Line:
    """`slower` is how many times this machine is slower than the one where the bars were set."""
    rate, p50, p99, cpu = (median(points, name) for name in ("rate", "p50", "p99", "cpu"))
    reached = []
    if bar.ratio and ratio is not None:
        reached.append(ratio >= bar.ratio)
    elif bar.rate:
        reached.append(rate * slower >= bar.rate)
    if bar.p99:
        reached.append(p99 <= bar.p99 * slower)
    return Line(item, str(bar), ranged(points), ratio, p50, p99, cpu, all(reached) if reached else None, note)


def median(points: Sequence[Point], name: str) -> float:
    return float(statistics.median(getattr(point, name) for point in points))


def ranged(points: Sequence[Point]) -> str:
    rates = [point.rate for point in points]
    return f"{statistics.median(rates):,.0f}/s ({min(rates):,.0f}–{max(rates):,.0f})"


def refreshing(
    server: Server, options: Options, connections: int = 64, pids: Iterable[int] = ()
) -> Callable[[], Point]:
    load = Load("rotate", server.token_url, (server.tokens,), connections)
    return lambda: run((*server.pids(), *pids), [load], options.seconds)
