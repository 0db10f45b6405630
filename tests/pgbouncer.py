"""A pgbouncer in transaction mode before the PostgreSQL of the tests, with fewer connections than clients."""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.postgres import Cluster, database_of, not_as_root, shared_cluster

SERVER_CONNECTIONS = 3
SETTINGS = """
[databases]
* = host={cluster} user=detent
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
auth_type = any
pool_mode = {mode}
default_pool_size = {connections}
max_client_conn = 500
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def pooled(cluster: Cluster, *, mode: str = "transaction", connections: int = SERVER_CONNECTIONS) -> Iterator[Path]:
    """The folder of the socket of a pgbouncer before this server."""
    folder = Path(tempfile.mkdtemp(prefix="detent-pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    text = SETTINGS.format(cluster=cluster.folder, folder=folder, mode=mode, connections=connections)
    settings.write_text(text + _remembers_nothing())
    program = shutil.which("pgbouncer")
    assert program, "pgbouncer is needed: `./check system` installs it"
    with subprocess.Popen([*not_as_root(), program, "-q", str(settings)], stderr=subprocess.DEVNULL) as process:
        while not list(folder.glob(".s.PGSQL.*[0-9]")):
            assert process.poll() is None, (folder / "log").read_text()
        try:
            yield folder
        finally:
            process.terminate()
    shutil.rmtree(folder)


def _remembers_nothing() -> str:
    """From 1.21 on it can keep prepared statements apart; whoever runs an older one has them mixed up."""
    told = subprocess.run(["pgbouncer", "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in told.split()[1].split(".")[:2])
    return "max_prepared_statements = 0\n" if version >= (1, 21) else ""


def pooled_database_of(folder: Path) -> str:
    """The database of `database_of`, as the pooler shows it."""
    return make_conninfo(database_of(folder), host=str(_shared()), port=6432)


@cache
def _shared() -> Path:
    stack = ExitStack()
    atexit.register(stack.close)  # before the server's own, which was registered earlier
    return stack.enter_context(pooled(shared_cluster()))
