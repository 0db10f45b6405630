"""Three Patroni with an etcd beside them, as their authors ship them: who is primary is theirs to decide.

Quorum-synchronous, short leases. The programs: etcd from Debian's `etcd-server`, Patroni in an environment of its own.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from tests.postgres import found_servers, not_as_root

PROGRAM: Final = Path(sys.prefix) / "patroni" / "bin" / "patroni"
HOST: Final = "127.0.0.1"
_SHARED: Final[dict[str, Any]] = {
    "ttl": 20, "loop_wait": 2, "retry_timeout": 3, "primary_start_timeout": 0, "synchronous_mode": "quorum",
    "synchronous_mode_strict": True, "postgresql": {"parameters": {"max_connections": 100}},
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return int(taken.getsockname()[1])


class Member:
    """One Patroni with its PostgreSQL."""

    def __init__(self, folder: Path, number: int, etcd: str) -> None:
        self.name, self.folder = f"member{number}", folder / f"member{number}"
        self.rest, self.port = free_port(), free_port()
        self.folder.mkdir()
        user = {"username": "detent", "password": "unused"}
        settings = {
            "scope": "detent",
            "name": self.name,
            "restapi": {"listen": f"{HOST}:{self.rest}", "connect_address": f"{HOST}:{self.rest}"},
            "etcd3": {"host": etcd},
            "bootstrap": {
                "dcs": _SHARED,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, {"auth": "trust"}, {"username": "detent"}],
            },
            "postgresql": {
                "listen": f"{HOST}:{self.port}",
                "connect_address": f"{HOST}:{self.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": str(found_servers()[-1]),
                "pg_hba": ["local all all trust", "host all,replication all 127.0.0.1/32 trust"],
                "authentication": {"superuser": user, "replication": user},
                "parameters": {"unix_socket_directories": str(self.folder)},
                "use_pg_rewind": False,
                "remove_data_directory_on_diverged_timelines": True,
                "remove_data_directory_on_rewind_failure": True,
            },
        }
        (self.folder / "patroni.yml").write_text(json.dumps(settings))  # JSON is YAML

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            command = [*not_as_root(), str(PROGRAM), str(self.folder / "patroni.yml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """As when the machine dies: Patroni and every PostgreSQL process at once."""
        pids = [self.process.pid, *_descendants(self.process.pid)]
        if (self.folder / "data" / "postmaster.pid").exists():
            server = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            pids += [server, *_descendants(server)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def execute(self, text: bytes) -> None:
        address = make_conninfo(host=HOST, port=self.port, user="detent", dbname="postgres")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(text)


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [*children, *(below for child in children for below in _descendants(child))]


class Patroni:
    def __init__(self, folder: Path, etcd: str) -> None:
        self.members = [Member(folder, number, etcd) for number in range(3)]

    @property
    def conninfo(self) -> str:
        ports = ",".join(str(each.port) for each in self.members)
        return make_conninfo(host=",".join([HOST] * 3), port=ports, user="detent", dbname="detent")

    def seen(self) -> dict[str, dict[str, Any]]:
        """What the members say of each other, by name; empty while none answers."""
        for member in self.members:
            try:
                found = httpx.get(f"http://{HOST}:{member.rest}/cluster", timeout=3).json()["members"]
            except (httpx.HTTPError, KeyError, ValueError):
                continue
            return {each["name"]: each for each in found}
        return {}

    def leader(self) -> Member:
        """Once there is one, and both others confirm what it commits."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            seen = self.seen()
            roles = [each["role"] for each in seen.values() if each["state"] in ("running", "streaming")]
            if sorted(roles) == ["leader", "quorum_standby", "quorum_standby"]:
                return next(each for each in self.members if seen[each.name]["role"] == "leader")
            time.sleep(0.3)
        raise AssertionError(self.seen())

    def switch_over(self) -> None:
        leader = self.leader()
        answer = httpx.post(f"http://{HOST}:{leader.rest}/switchover", json={"leader": leader.name}, timeout=60)
        assert answer.status_code == 200, answer.text


@contextmanager
def patroni(folder: Path) -> Iterator[Patroni]:
    with ExitStack() as stack:
        client, peer = (f"http://{HOST}:{free_port()}" for _ in range(2))
        etcd = shutil.which("etcd")
        assert etcd
        with (folder / "etcd.log").open("a") as log:
            process = subprocess.Popen(
                [
                    etcd, "--data-dir", str(folder / "etcd"), "--listen-client-urls", client, "--advertise-client-urls",
                    client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                    "--initial-cluster", f"default={peer}", "--unsafe-no-fsync",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(process.kill)
        cluster = Patroni(folder, client.removeprefix("http://"))
        for member in cluster.members:
            member.start()
            stack.callback(member.kill)
        cluster.leader().execute(b"CREATE DATABASE detent")
        yield cluster
