"""Attack rows F12 and F24: a store that came back from the past is refused unless that is said, and then it is safe."""

import shutil
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from detent.cli.mark import MARK_FILE
from detent.cli.office import STORE_FILE
from tests.cli.conftest import Cli
from tests.faults.nodes import Installation, nodes

pytestmark = pytest.mark.slow
SERVED = ("--issuer", "https://id.example/", "--port", "0", "--proxies", "1")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def signed_in(installation: Installation, node: Any, client: str = "strict") -> dict[str, Any]:
    answer = node.ask("/oauth/token", installation.clients[client], grant_type="password", **installation.person)
    tokens: dict[str, Any] = answer.json()
    return tokens


def refreshed(installation: Installation, node: Any, token: str, client: str = "strict") -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return node.ask("/oauth/token", installation.clients[client], **form)


@pytest.fixture
def served(installation: Installation, copy: Path) -> tuple[str, str]:
    """A day: a family is rotated and one is revoked after a backup was made. Their tokens of before."""
    with nodes(installation, 1) as [node]:
        consumed = signed_in(installation, node)["refresh_token"]
        revoked = signed_in(installation, node)["refresh_token"]
        made = installation.command("backup", str(copy))
        assert made == {"file": str(copy), "bytes": copy.stat().st_size}
        assert refreshed(installation, node, consumed).status_code == 200
        node.ask("/oauth/revoke", installation.clients["strict"], token=revoked)
        node.process.send_signal(signal.SIGTERM)
        node.process.wait(60)
    with nodes(installation, 1) as [node]:  # one more beat
        pass
    return consumed, revoked


def put_back(installation: Installation, copy: Path) -> None:
    """Without a word, as from a snapshot of the machine."""
    for ending in ("", "-wal", "-shm"):
        (installation.data / f"{STORE_FILE}{ending}").unlink(missing_ok=True)
    shutil.copy(copy, installation.data / STORE_FILE)


def refusal_of(installation: Installation, *command: str) -> tuple[str, str]:
    return Cli(installation.data).refused(*command)


@pytest.mark.usefixtures("served")
def test_attack_f12_a_store_from_the_past_is_not_served(installation: Installation, copy: Path) -> None:
    put_back(installation, copy)
    code, told = refusal_of(installation, "serve", *SERVED)
    assert (code, "older than it was" in told, "detent restore" in told) == ("store_unavailable", True, True)
    assert not installation.doctor()["the store is the one that was served last"]["ok"]


def test_attack_f12_after_an_announced_restore_nothing_that_was_used_or_revoked_is_good(
    installation: Installation, copy: Path, served: tuple[str, str]
) -> None:
    told = installation.command("restore", str(copy))
    assert told["restore_epoch"] == 1
    assert Path(told["moved_aside"]).exists()
    with nodes(installation, 1) as [node]:
        for token in served:
            answer = refreshed(installation, node, token)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        again = signed_in(installation, node)["refresh_token"]
        assert refreshed(installation, node, again).status_code == 200, "and people sign in and go on"


@pytest.mark.usefixtures("served")
def test_attack_f12_a_copy_that_was_put_there_by_hand_can_be_announced_too(
    installation: Installation, copy: Path
) -> None:
    put_back(installation, copy)
    assert installation.command("restore")["moved_aside"] is None
    with nodes(installation, 1) as [node]:
        assert signed_in(installation, node)["refresh_token"]


@pytest.mark.usefixtures("served")
def test_another_installations_store_is_not_served_here(installation: Installation, tmp_path: Path) -> None:
    other = Installation(tmp_path / "other")
    other.folder.mkdir()
    with nodes(other, 1):
        pass
    put_back(installation, other.data / STORE_FILE)
    assert "another store" in refusal_of(installation, "serve", *SERVED)[1]


def test_nobody_restores_under_a_running_server(installation: Installation, copy: Path) -> None:
    with nodes(installation, 1):
        installation.command("backup", str(copy))
        code, told = refusal_of(installation, "restore", str(copy))
        assert (code, told) == ("store_unavailable", "A server runs on this directory. Stop it first.")
        assert refusal_of(installation, "backup", str(copy))[1].startswith(f"{copy} is there already")


@pytest.mark.parametrize("damage", ["nothing in it", "not a store", "a page of rubbish"])
def test_attack_f24_a_damaged_copy_is_refused_and_the_store_stays(
    installation: Installation, copy: Path, tmp_path: Path, damage: str
) -> None:
    with nodes(installation, 1):
        installation.command("backup", str(copy))
    if damage == "nothing in it":
        copy.write_bytes(b"")
    elif damage == "not a store":
        copy.unlink()
        with closing(apsw.Connection(str(copy))) as db:
            db.execute("CREATE TABLE theirs (a)")
    else:
        raw = bytearray(copy.read_bytes())
        raw[4096 : 4096 * 12] = bytes(4096 * 11)
        copy.write_bytes(raw)
    before = (installation.data / STORE_FILE).read_bytes()
    assert refusal_of(installation, "restore", str(copy))[0] == "store_unavailable"
    assert (installation.data / STORE_FILE).read_bytes() == before
    assert not list(installation.data.glob("*arriving*"))


def test_a_damaged_mark_stops_the_start_and_says_how_to_go_on(installation: Installation) -> None:
    with nodes(installation, 1):
        pass
    (installation.data / MARK_FILE).write_text("{")
    assert "is damaged" in refusal_of(installation, "serve", *SERVED)[1]
    installation.command("restore")
    with nodes(installation, 1):
        pass


def test_the_doctor_says_that_all_is_well_and_what_is_not(installation: Installation) -> None:
    with nodes(installation, 1):
        pass
    wrong = [what for what, found in installation.doctor().items() if not found["ok"]]
    assert wrong == ["people's addresses are told apart"]
