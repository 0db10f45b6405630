"""The processes that are measured: our server, the yardstick, PostgreSQL; each on the first core and no other.

Leaves asking them to generator.py. CPU time is that of a process with all its children, so that a database counts.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.generator import HERE, first_core, pinned
from tests.postgres import Cluster

YARDSTICK: Final = HERE.parent / ".detent" / "yardstick"  # where ./check bench installs it
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Server:
    """Our server. Without `families` it opens what is in the folder; `core` None: as many as there are."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        alg: str = "ES256",
        families: int = 10_000,
        scope: str = "api",
        postgres: str = "",
        core: int | None = first_core(),
    ) -> None:
        self.folder = folder or new_folder()
        flags = ["--alg", alg, "--families", str(families), "--scope", scope]
        flags += ["--postgres", postgres] if postgres else []
        command = [*pinned(core), sys.executable, "-m", "bench.server", str(self.folder), *flags]
        self._log = self.folder / "log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=HERE.parent
            )
        _started.append(self.process)
        self.url = str(self._heard()["url"]).rstrip("/")
        self.token_url = f"{self.url}/oauth/token"
        self.tokens = str(self.folder / "tokens")

    def tell(self, line: str) -> Any:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._heard()

    def pids(self) -> tuple[int, ...]:
        return (self.process.pid,)

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _heard(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit(f"the server ended:\n{self._log.read_text()[-3000:]}")


class Yardstick:
    """oidc-provider as its documentation shows it: in memory, rotating, JWT access tokens."""

    def __init__(self, alg: str, port: int, families: int = 10_000) -> None:
        shutil.copy(HERE / "yardstick" / "server.mjs", YARDSTICK / "server.mjs")
        self.tokens = str(new_folder() / "tokens")
        command = [*pinned(first_core()), "node", str(YARDSTICK / "server.mjs"), str(port), alg, str(families)]
        self.process = subprocess.Popen(
            [*command, self.tokens], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        _started.append(self.process)
        assert self.process.stdout
        if "ready" not in self.process.stdout.readline():
            sys.exit("oidc-provider did not start")
        self.token_url = f"http://127.0.0.1:{port}/token"

    @staticmethod
    def is_here() -> bool:
        return (YARDSTICK / "node_modules" / "oidc-provider").is_dir() and shutil.which("node") is not None

    def pids(self) -> tuple[int, ...]:
        return (self.process.pid,)


class Database:
    """A PostgreSQL server on a real disk, on the core of the servers that use it; `core` None: on all there are."""

    def __init__(self, core: int | None = first_core()) -> None:
        settings = {"autovacuum": "on", "shared_buffers": "256MB"}
        self.cluster = Cluster(settings=settings, within=pinned(core))
        self.cluster.make()
        self.cluster.start()
        atexit.register(self._end)
        self.address = self.cluster.new_database()

    def _end(self) -> None:
        _end_all()  # the servers first: they would complain
        self.cluster.__exit__(None, None, None)

    def pids(self) -> tuple[int, ...]:
        return (int((self.cluster.data / "postmaster.pid").read_text().split()[0]),)

    def deadlocks(self) -> int:
        ((count,),) = self.cluster.execute("SELECT sum(deadlocks)::bigint FROM pg_stat_database")
        return int(str(count))


_started: list[subprocess.Popen[str]] = []


@atexit.register
def _end_all() -> None:
    for process in _started:
        with suppress(ProcessLookupError):
            process.kill()
            process.wait()


def new_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="detent-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes and their children have spent, user and system."""
    return sum(_cpu_ticks(pid) for root in pids for pid in (root, *children(root))) / _TICKS


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def _cpu_ticks(pid: int) -> int:
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except FileNotFoundError:
        return 0
    return int(user) + int(system)


def resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
