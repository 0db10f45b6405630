"""Attack rows F6, F20 and F22: the directory is gone, the descriptors are used up, somebody else holds the file."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import apsw
import httpx
import pytest

from tests.cli.conftest import DETENT, PLAIN, process
from tests.faults.nodes import Installation, Node, seconds_of_cpu
from tests.faults.stepping import SteppingDisk, broken
from tests.serving import on_sqlite, running

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]
FEW: Final = 64


def limited(descriptors: int) -> list[str]:
    return ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *DETENT]


def unavailable(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable") and int(
        answer.headers["Retry-After"]
    ) > 0


def test_fault_f22_a_lock_that_another_process_holds_is_waited_for_or_503_and_never_told(
    tmp_path: Path, keys_folder: Path
) -> None:
    with running(tmp_path, keys_folder, on_sqlite(tmp_path, patience=0.5)) as detent:
        token = detent.sign_in()["refresh_token"]
        with closing(apsw.Connection(str(tmp_path / "detent.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = detent.refresh("testclient", token)
            assert unavailable(answer)
            assert "lock" not in answer.text
            assert "busy" not in answer.text
            assert detent.introspect(token)["active"]
            other.execute("COMMIT")
        assert detent.refresh("testclient", token).status_code == 200


def test_a_lock_that_is_let_go_of_in_time_is_not_noticed(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, on_sqlite(tmp_path, patience=25)) as detent:
        token = detent.sign_in()["refresh_token"]
        path = str(tmp_path / "detent.db")
        with closing(apsw.Connection(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            letting_go = threading.Timer(0.2, other.execute, ["COMMIT"])
            letting_go.start()
            assert detent.refresh("testclient", token).status_code == 200
            letting_go.join()


def test_fault_f6_keys_and_metadata_are_served_when_nothing_can_be_written_any_more(
    tmp_path: Path, keys_folder: Path
) -> None:
    disk = SteppingDisk(f"broken {tmp_path.name}")
    with running(tmp_path, keys_folder, on_sqlite(tmp_path, vfs=disk.name)) as detent:
        token = detent.sign_in()["refresh_token"]
        disk.arm(1, broken)
        assert unavailable(detent.refresh("testclient", token))
        disk.disarm()
        assert unavailable(detent.refresh("testclient", token))
        for path in ("/.well-known/jwks.json", "/.well-known/openid-configuration"):
            assert detent.http.get(path).status_code == 200
        assert detent.http.get("/health").status_code == 503
    disk.unregister()


def test_fault_f6_nothing_is_acknowledged_into_a_file_that_was_taken_away(tmp_path: Path, keys_folder: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running(data, keys_folder, "sqlite") as detent:
        token = detent.sign_in()["refresh_token"]
        shutil.rmtree(data)
        assert unavailable(detent.refresh("testclient", token))
        assert unavailable(detent.token(grant_type="password", username="test", password="test"))
        assert detent.http.get("/.well-known/jwks.json").status_code == 200


def test_fault_f6_a_data_directory_that_cannot_be_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = PLAIN | {"DETENT_DATA": str(tmp_path / "file" / "data"), "DETENT_ISSUER": "https://id.example/"}
    done = subprocess.run([*DETENT, "serve", "--port", "0"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("detent: ")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run `./check` on Linux")
def test_fault_f20_a_server_without_descriptors_does_not_spin_and_goes_on_when_it_has_some(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    log = tmp_path / "log"
    with (
        process(log, "serve", "--port", "0", env=installation.env, detent=limited(FEW)) as started,
        Node(started) as node,
    ):
        assert node.http.get("/health").status_code == 200
        node.http.close()
        with ExitStack() as idle:
            for _ in range(2 * FEW):
                idle.enter_context(socket.create_connection(("127.0.0.1", started.ready["port"])))
            before, began = seconds_of_cpu(started.process.pid), time.monotonic()
            time.sleep(2)
            spent = seconds_of_cpu(started.process.pid) - before
            assert spent < (time.monotonic() - began) / 2, "it spins"
            assert started.process.poll() is None
        until = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{node.url}/health", headers={"Host": "id.example"}, timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                assert time.monotonic() < until, "it did not go on"


@pytest.mark.parametrize("descriptors", [16, FEW - 1])
def test_fault_f20_too_few_descriptors_to_start_are_told(descriptors: int, tmp_path: Path) -> None:
    env = PLAIN | Installation(tmp_path).env
    command = [*limited(descriptors), "serve", "--port", "0"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"detent: This process may open {descriptors} files; at least {FEW} are needed")
