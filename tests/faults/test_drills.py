"""Restore drills: copies of different age, of every kind that operators make, come back unannounced and announced.

Fault rows F9 and F12. The first is never served; after the second nothing that was ever used or revoked is accepted.
"""

import os
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from detent.cli.office import STORE_FILE
from tests.cli.conftest import Cli
from tests.faults.nodes import Installation, Node
from tests.postgres import Cluster, running_cluster

pytestmark = pytest.mark.slow
COPIES = int(os.environ.get("FAULTS_COPIES", "1"))  # of each kind; the short form leaves two kinds out
FAMILIES = 3


class Kind(ABC):
    """How copies are made and put back; `served`: while a server runs."""

    served = True

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.installation = Installation(folder, self.conninfo())

    def conninfo(self) -> str:
        return ""

    def path(self, number: int) -> Path:
        return self.folder / f"copy{number}"

    @abstractmethod
    def make(self, number: int) -> None: ...

    @abstractmethod
    def put_back(self, number: int) -> None: ...


class Backup(Kind):
    """`detent backup`."""

    def make(self, number: int) -> None:
        self.installation.command("backup", str(self.path(number)))

    def put_back(self, number: int) -> None:
        for old in self.installation.data.glob(f"{STORE_FILE}*"):
            old.unlink()
        shutil.copy(self.path(number), self.installation.data / STORE_FILE)


class FileCopy(Backup):
    """`cp` while nothing runs."""

    served = False

    def make(self, number: int) -> None:
        shutil.copy(self.installation.data / STORE_FILE, self.path(number))


class Dump(Kind):
    """`pg_dump` and `pg_restore`."""

    def conninfo(self) -> str:
        return self.cluster.new_database()

    def make(self, number: int) -> None:
        self.cluster.run("pg_dump", "-Fc", "-f", str(self.path(number)), "-d", self.installation.env["DETENT_STORE"])

    def put_back(self, number: int) -> None:
        conninfo = self.installation.env["DETENT_STORE"]
        self.cluster.drop_database(conninfo)
        self.cluster.execute(f"CREATE DATABASE {conninfo_to_dict(conninfo)['dbname']}")
        self.cluster.run("pg_restore", "-d", conninfo, str(self.path(number)))


class BaseBackup(Dump):
    """`pg_basebackup`, of the whole server."""

    def make(self, number: int) -> None:
        where = ("-h", str(self.cluster.folder), "-U", "detent")
        self.cluster.run("pg_basebackup", "-D", str(self.path(number)), *where, "-X", "stream", "-c", "fast", "-N")

    def put_back(self, number: int) -> None:
        self.cluster.stop()
        shutil.rmtree(self.cluster.data)
        shutil.copytree(self.path(number), self.cluster.data)
        self.cluster.start()


KINDS = (FileCopy, Dump) if COPIES == 1 else (Backup, FileCopy, Dump, BaseBackup)


class Drill:
    """A life with copies on the way; `spent` is every token that was used or revoked in it."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.installation = kind, kind.installation
        self.spent: list[str] = []

    @contextmanager
    def served(self) -> Iterator[Node]:
        with self.installation.node() as node:
            if not self.installation.clients:
                self.installation.furnish()
            yield node
            node.process.send_signal(signal.SIGTERM)
            node.process.wait(60)

    def ask(self, node: Node, **form: str) -> tuple[int, str]:
        answer = node.ask("/oauth/token", self.installation.clients["strict"], **form)
        return answer.status_code, str(answer.json().get("refresh_token"))

    def signed_in(self, node: Node) -> str:
        status, token = self.ask(node, grant_type="password", **self.installation.person)
        assert status == 200
        return token

    def refreshed(self, node: Node, token: str) -> tuple[int, str]:
        return self.ask(node, grant_type="refresh_token", refresh_token=token)

    def live(self, number: int) -> None:
        """Sign in, make a copy, then use what was issued and revoke some."""
        with self.served() as node:
            tokens = [self.signed_in(node) for _ in range(FAMILIES)]
            if self.kind.served:
                self.kind.make(number)
        if not self.kind.served:
            self.kind.make(number)
        with self.served() as node:
            for token in tokens:
                self.use_up(node, token)

    def use_up(self, node: Node, token: str) -> None:
        for _ in range(2):
            self.spent.append(token)
            status, token = self.refreshed(node, token)
            assert status == 200
        self.spent.append(token)
        assert node.ask("/oauth/revoke", self.installation.clients["strict"], token=token).status_code == 200

    def come_back(self, number: int) -> None:
        self.kind.put_back(number)
        cli = Cli(self.installation.data)
        result = cli.run("serve", "--port", "0", "--proxies", "1", "--json", env=self.installation.env)
        assert (result.exit_code, "older than it was" in result.stderr) == (1, True), result.output
        self.installation.command("restore")
        with self.served() as node:
            accepted = [token for token in self.spent if self.refreshed(node, token)[0] != 400]
            assert accepted == []
            assert self.refreshed(node, self.signed_in(node))[0] == 200, "and people sign in and go on"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.mark.parametrize("kind", KINDS)
def test_fault_f12_a_copy_of_any_age_is_not_served_unannounced_and_safe_when_announced(
    cluster: Cluster, tmp_path: Path, kind: type[Kind]
) -> None:
    drill = Drill(kind(tmp_path, cluster))
    for number in range(COPIES):
        drill.live(number)
    for number in reversed(range(COPIES)):  # each older than the one before
        drill.come_back(number)
