"""`python -m tests.mutation [NAME …] [--stages N] [--sample N] [--seed S] [--json]`: how many faults the tests notice.

Each mutant is laid over a copy of the package, and the tests of its module run, stage by stage, until one fails. Those
that nobody notices are printed; the ones that cannot be noticed stand in survivors.py with the reason. Ends with 1 if
any other survives. The original has to pass first, and tells how long a mutant may take.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import msgspec

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.survivors import EQUIVALENT

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 10  # times as long as the original; a mutant that never ends is noticed, too
Stages = tuple[tuple[str, ...], ...]  # tests that run one after the other, those that notice most first
MODULES: Final[dict[str, tuple[str, Stages]]] = {
    "family": (
        "core/family.py",
        (
            ("tests/core/test_family_rows.py", "tests/core/test_family_writes.py"),
            (
                "tests/core/test_family_table.py",
                "tests/core/test_family_properties.py",
                "tests/attacks/test_t_reuse.py",
            ),
        ),
    ),
    "handle": (
        "tokens/handle.py",
        (("tests/tokens",), ("tests/attacks/test_t_strangers.py", "tests/attacks/test_t_reuse.py")),
    ),
    "refresh": (
        "grants/refresh_token.py",
        (
            ("tests/endpoints/test_refreshing.py", "tests/attacks/test_t_reuse.py"),
            (
                "tests/attacks/test_t_strangers.py",
                "tests/attacks/test_t_grant.py",
                "tests/attacks/test_t_honest.py",
                "tests/attacks/test_t_lasting.py",
                "tests/attacks/test_d_dpop.py",
            ),
        ),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MODULES), metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--sample", type=int, help="only so many of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stages", type=int, help="only so many of the stages, which run the most telling tests first")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args()
    told = [judged(name, asked.sample, asked.seed, asked.stages, quiet=asked.json) for name in asked.names]
    lines = [json.dumps([msgspec.to_builtins(each) for each in told])] if asked.json else map(_line, told)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return int(any(_why_none(each.module, name) is None for each in told for name in each.survivors))


class Result(msgspec.Struct):
    module: str
    mutants: int
    survivors: list[str]


def _line(result: Result) -> str:
    noticed = result.mutants - len(result.survivors)
    first = f"{result.module}: {noticed} of {result.mutants} noticed ({noticed / result.mutants:.1%})"
    lines = (f"  not noticed: {name}  [{_why_none(result.module, name) or '?'}]" for name in result.survivors)
    return "\n".join([first, *lines])


def _why_none(module: str, name: str) -> str | None:
    """Why no test can notice this mutant; the list knows it without its line."""
    return EQUIVALENT.get(module, {}).get(name.split(": ", 1)[1])


def judged(name: str, sample: int | None, seed: int, stages: int | None, *, quiet: bool) -> Result:
    module, known = MODULES[name]
    tests = known[:stages]
    mutants = list(mutants_of((ROOT / "src" / "detent" / module).read_text("utf-8")))
    if sample is not None:
        mutants = random.Random(seed).sample(mutants, min(sample, len(mutants)))  # noqa: S311
    ways = os.cpu_count() or 1
    places: SimpleQueue[Path] = SimpleQueue()
    done = 0
    with tempfile.TemporaryDirectory(prefix="detent-mutants-") as folder:
        place = Path(folder, "0")
        shutil.copytree(ROOT / "src" / "detent", place / "detent", ignore=shutil.ignore_patterns("__pycache__"))
        limits = [_patience(place, stage) for stage in tests]
        Path(
            cache_from_source(str(place / "detent" / module))
        ).unlink()  # or it would stand in for a mutant of its size
        places.put(place)
        for number in range(1, ways):
            places.put(shutil.copytree(place, Path(folder, str(number))))

        def survives(mutant: Mutant) -> bool:
            nonlocal done
            place = places.get()
            (place / "detent" / module).write_text(mutant.source, "utf-8")
            living = all(_passes(place, stage, limit) for stage, limit in zip(tests, limits, strict=True))
            places.put(place)
            done += 1
            if not quiet:
                state = "NOT NOTICED" if living else "noticed"
                sys.stderr.write(f"{module} {done}/{len(mutants)} {state}: {mutant.name}\n")
            return living

        with ThreadPoolExecutor(ways) as pool:
            living = list(pool.map(survives, mutants))
    return Result(module, len(mutants), [mutant.name for mutant, lives in zip(mutants, living, strict=True) if lives])


def _patience(place: Path, tests: tuple[str, ...]) -> float:
    """How many seconds a mutant gets, from what the original takes; its run leaves compiled files behind."""
    started = time.monotonic()
    if not _passes(place, tests, None, compiled=True):
        raise SystemExit(f"The original fails its own tests; mend that first: python -m pytest {' '.join(tests)}")
    return 30 + PATIENCE * (time.monotonic() - started)


def _passes(place: Path, tests: tuple[str, ...], limit: float | None, *, compiled: bool = False) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not sqlite"]
    environment = os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "" if compiled else "1"}
    try:
        done = subprocess.run(
            [*command, *tests], cwd=ROOT, env=environment, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
