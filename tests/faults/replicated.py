"""A PostgreSQL primary with two standbys, and the failover as an operator or Patroni does it.

Failover: the old primary is dead for good (fenced), the standby that received most becomes primary, the other one
follows it, and the dead one is made anew from it.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from tests.postgres import Cluster, found_servers

DATABASE: Final = "detent"
CONFIRMED_BY_ONE: Final = "ANY 1 (*)"
_SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "100",
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_receiver_status_interval": "1",
    "wal_retrieve_retry_interval": "100ms",
}


class Trio:
    """`synchronous`: what synchronous_standby_names is on whichever is primary; empty for asynchronous standbys."""

    def __init__(self, folder: Path, synchronous: str) -> None:
        self._servers = [Cluster(found_servers()[0], settings=_SETTINGS, folder=folder) for _ in range(3)]
        self._synchronous = synchronous
        self.impatient = False  # somebody cancels every wait for the standbys, before the primary dies
        self.primary, *self.standbys = self._servers

    @property
    def conninfo(self) -> str:
        """Every host: the driver finds the one that takes writes."""
        return make_conninfo(host=",".join(str(each.folder) for each in self._servers), user="detent", dbname=DATABASE)

    def start(self, stack: ExitStack) -> None:
        stack.enter_context(self.primary)
        self.primary.execute(f"CREATE DATABASE {DATABASE}")
        for standby in self.standbys:
            self._follow_anew(standby)
            stack.callback(standby.__exit__, None, None, None)
        self.primary.confirmed_by(self._synchronous)

    def fail_over(self, *, lose: bool = False) -> None:
        """Kill the primary, promote. `lose`: the standbys stop receiving a while before, as ones that lag do."""
        if lose:
            for standby in self.standbys:
                standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
                standby.execute("SELECT pg_reload_conf()")
            time.sleep(1)
        if self.impatient:
            self._cancel_waits(time.monotonic() + 2)
        self.primary.crash()
        dead = self.primary
        self.standbys.sort(key=_received)
        self.primary, *others = self.standbys[::-1]
        self.primary.execute("SELECT pg_promote()")
        for other in others:
            other.execute(f"ALTER SYSTEM SET primary_conninfo = '{_following(self.primary)}'")
            other.execute("SELECT pg_reload_conf()")
        self.primary.confirmed_by(self._synchronous)
        self._follow_anew(dead)
        self.standbys = [*others, dead]

    def _cancel_waits(self, until: float) -> None:
        with psycopg.connect(self.primary.conninfo(), autocommit=True) as connection:
            while time.monotonic() < until:
                connection.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                time.sleep(0.02)

    def _follow_anew(self, standby: Cluster) -> None:
        shutil.rmtree(standby.data, ignore_errors=True)
        standby.run(
            "pg_basebackup", "-D", str(standby.data), "-h", str(self.primary.folder), "-U", "detent",
            "-R", "-X", "stream", "-c", "fast", "-N",
        )  # fmt: skip
        standby.start()


def _following(primary: Cluster) -> str:
    return f"host={primary.folder} user=detent"


def _received(standby: Cluster) -> int:
    [(position,)] = standby.execute("SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn")
    return int(str(position))


@contextmanager
def replicated(folder: Path, synchronous: str = CONFIRMED_BY_ONE) -> Iterator[Trio]:
    with ExitStack() as stack:
        trio = Trio(folder, synchronous)
        trio.start(stack)
        yield trio
