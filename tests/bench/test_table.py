"""What the benchmark tells of what it measured: its judgement, not its speed."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.measure import Bar, Line, Point, judged
from bench.plot import plot
from bench.table import SCENARIOS, markdown

ROOT = Path(__file__).parents[2]
RUNS = [Point(rate, 8.0, 20.0, 150.0) for rate in (5000.0, 6500.0, 6000.0)]


@pytest.mark.parametrize(
    ("bar", "ratio", "met"),
    [
        (Bar(6000), None, True),
        (Bar(6001), None, False),
        (Bar(9000, ratio=2.4), 2.4, True),  # another machine: the ratio binds
        (Bar(1000, ratio=2.4), 2.39, False),
        (Bar(1000, ratio=2.4), None, True),
        (Bar(6000, p99=19), None, False),
        (Bar(), 3.0, None),
    ],
)
def test_bench_a_bar_is_judged_by_its_ratio_where_there_is_one(bar: Bar, ratio: float | None, met: bool | None) -> None:
    assert judged("refresh", bar, RUNS, ratio).met is met


@pytest.mark.parametrize(
    ("bar", "slower", "met"),
    [
        (Bar(12_000), 2, True),
        (Bar(12_001), 2, False),
        (Bar(6000), 0.9, False),
        (Bar(p99=10), 2, True),
        (Bar(p99=9.9), 2, False),
        (Bar(1000, ratio=2.4), 9, False),  # a ratio needs no weighing
    ],
)
def test_bench_requests_and_milliseconds_are_weighed_by_how_fast_the_yardstick_is(
    bar: Bar, slower: float, met: bool
) -> None:
    assert judged("refresh", bar, RUNS, 2.0, slower=slower).met is met


def test_bench_a_missed_bar_is_told() -> None:
    told = markdown(judged("refresh", Bar(7000), RUNS, None, "with a note"))
    assert told == "| refresh | 7,000/s | 6,000/s (5,000–6,500) |  | 8.00 / 20.00 | 150 | **missed**; with a note |"
    assert markdown(Line("syncs", "≥ commits", "3", met=True)) == "| syncs | ≥ commits | 3 |  |  |  | reached |"


def test_bench_names_its_scenarios_for_one_that_it_does_not_have() -> None:
    command = [sys.executable, "-m", "bench.table", "refesh"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no scenario named refesh" in run.stderr
    assert all(name in run.stderr for name in SCENARIOS)


def test_bench_a_plot_begins_at_zero_and_is_xml() -> None:
    drawn = ElementTree.fromstring(plot("refreshes/s & more", [1, 64], [900.0, 6000.0], logarithmic=True))  # noqa: S314
    said = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert said == ["refreshes/s & more", "0", "2,500", "5,000", "7,500", "10,000", "1", "64"]
