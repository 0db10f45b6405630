"""The table of what detent does in a second: `./check bench [SCENARIO…] [--seconds 4] [--repeats 3]`.

Every row with its bar, what was measured (median of the repeats and their range), the ratio to oidc-provider measured
in turn with it, latencies, the server side's CPU time for each answer, and whether the bar was reached. The server
side is on the first core, the generator on the last one. Ends with 1 if a bar was missed.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Final

import apsw
import msgspec

from bench import history, scenarios, scenarios_whole
from bench.generator import HERE, WRK
from bench.measure import Line, Options
from bench.processes import Yardstick

Scenario = Callable[[Options], Iterator[Line]]
SCENARIOS: Final[dict[str, Scenario]] = {
    "refresh-es256": scenarios.refresh_es256,
    "refresh-rs256": scenarios.refresh_rs256,
    "refresh-rs256-openid": scenarios.refresh_rs256_openid,
    "refresh-postgres": scenarios.refresh_postgres,
    "postgres": scenarios.postgres,
    "nodes": scenarios.nodes,
    "client-credentials": scenarios.client_credentials,
    "code": scenarios.code,
    "introspection": scenarios.introspection,
    "documents": scenarios.documents,
    "families": scenarios_whole.families,
    "start": scenarios_whole.start,
    "growth": scenarios_whole.growth,
    "resource-server": scenarios_whole.resource_server,
    "garbage": scenarios_whole.garbage,
    "sign-ins": scenarios_whole.sign_ins,
    "durable": scenarios_whole.durable,
    "history": history.history,
}
PAGE: Final = HERE.parent / "docs" / "performance.md"
HEAD: Final = "| item | at least | measured (range) | ratio | p50 / p99 ms | CPU µs | |"
RULE: Final = "|---|---|--:|--:|--:|--:|---|"


def markdown(line: Line) -> str:
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    latency = "" if line.p99 is None else f"{line.p50:.2f} / {line.p99:.2f}"
    cpu = "" if line.cpu is None else f"{line.cpu:.0f}"
    verdict = {True: "reached", False: "**missed**", None: ""}[line.met]
    told = "; ".join(part for part in (verdict, line.note) if part)
    return f"| {line.item} | {line.bar} | {line.ours} | {ratio} | {latency} | {cpu} | {told} |"


def surroundings(options: Options) -> str:
    """What else must be known to judge the figures."""
    here = options.yardstick and Yardstick.is_here()
    peer = f"oidc-provider, Node {_said('node', '--version')}" if here else "no yardstick (it needs npm)"
    generator = "wrk" if WRK else "the generator in Python, which limits everything above 3,000/s (no wrk here)"
    return (
        f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, cryptography {version('cryptography')}; {peer}; {generator}; "
        f"{options.repeats} × {options.seconds:g} s after a warm-up, {options.chains:,} chains; "
        f"load when it began {os.getloadavg()[0]:.1f}."
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as told:
        names = (line.partition(":")[2].strip() for line in told if line.startswith("model name"))
        return next(names, platform.machine())


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./check bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"all of them, or: {', '.join(SCENARIOS)}")
    parser.add_argument("--seconds", type=float, default=Options().seconds, help="of each run")
    parser.add_argument("--repeats", type=int, default=Options().repeats)
    parser.add_argument("--chains", type=int, default=Options().chains, help="families that are seeded")
    parser.add_argument("--families", type=int, default=Options().families, help="of the scenario `families`")
    parser.add_argument("--refreshes", type=int, default=Options().refreshes, help="of the scenario `growth`")
    parser.add_argument("--no-yardstick", dest="yardstick", action="store_false")
    parser.add_argument("--markdown", action="store_true", help="write the table into docs/performance.md too")
    parser.add_argument("--json", action="store_true", help="one JSON document for each row")
    asked = parser.parse_args()
    if unknown := [name for name in asked.scenarios if name not in SCENARIOS]:
        parser.error(f"no scenario named {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    return asked


def main() -> int:
    asked = parsed()
    options = msgspec.convert({name: getattr(asked, name) for name in Options.__struct_fields__}, Options)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        print(text, flush=True)

    if not asked.json:
        tell(f"{surroundings(options)}\n\n{HEAD}\n{RULE}")
    missed = False
    for name in asked.scenarios or SCENARIOS:
        for line in SCENARIOS[name](options):
            tell(msgspec.json.encode(line).decode() if asked.json else markdown(line))
            missed |= line.met is False
    if asked.markdown:
        published("bench", "\n".join(told))
    return int(missed)


def published(name: str, text: str) -> None:
    """Put the text into its place in docs/performance.md."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}{text}\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())
