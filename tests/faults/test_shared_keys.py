"""Nodes that share a database and a key-encryption key, and no file: what one signs and seals, all others know.

Rows L3 (a dump), L5 (a stolen key), L10 (nodes that do not belong together) and F13 of many nodes.
"""

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from detent.cli.clock import database_differs
from detent.cli.office import opened
from detent.keys.file import FileKeys
from detent.keys.kek import new_kek
from detent.settings.reading import load
from detent.system import SystemClock
from tests.cli.conftest import DETENT, PLAIN
from tests.faults.nodes import API, Installation, Node
from tests.postgres import Cluster, running_cluster

pytestmark = pytest.mark.slow
KEYS_PATH = "/.well-known/jwks.json"
PATIENCE = 30  # seconds; the promise is two, and the machine may be busy


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


def kek_file(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines or (new_kek(),)))
    path.chmod(0o600)
    return path


def in_store(folder: Path, conninfo: str) -> Installation:
    kek = kek_file(folder / "kek")
    return Installation(folder, conninfo, keys="store", key_encryption_key=str(kek), proxies="1")


@pytest.fixture(scope="module")
def installation(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return in_store(tmp_path_factory.mktemp("shared"), cluster.new_database())


@pytest.fixture(scope="module")
def three(installation: Installation) -> Iterator[list[Node]]:
    """Each with a data directory of its own."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(installation.node(str(n), data=str(installation.folder / str(n)))) for n in "abc"
        ]
        installation.furnish()
        yield started


def signed_in(installation: Installation, node: Node) -> dict[str, Any]:
    answer = node.ask("/oauth/token", installation.clients["strict"], grant_type="password", **installation.person)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def refresh(installation: Installation, node: Node, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return node.ask("/oauth/token", installation.clients["strict"], **form)


def active(installation: Installation, node: Node, token: str) -> bool:
    told = node.ask("/oauth/introspect", installation.clients["strict"], token=token).json()
    return bool(told["active"])


def kids(node: Node) -> list[str]:
    return [key["kid"] for key in node.http.get(KEYS_PATH).json()["keys"] if key["alg"] == "RS256"]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refused(installation: Installation, **settings: str) -> str:
    """What a node says that does not start."""
    env = PLAIN | installation.env | {f"DETENT_{name.upper()}": value for name, value in settings.items()}
    command = [*DETENT, "serve", "--port", "0", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout
    told = json.loads(done.stderr.splitlines()[-1])
    return f"{told['error']}: {told['error_description']}"


def test_f13_what_one_node_signs_and_seals_every_other_verifies_and_turns(
    installation: Installation, three: list[Node]
) -> None:
    assert not list(installation.folder.glob("*/keys"))
    token = signed_in(installation, three[0])
    for node in (*three, *three):
        assert active(installation, node, token["access_token"])
        answer = refresh(installation, node, token["refresh_token"])
        assert answer.status_code == 200, answer.text
        token = answer.json()
    assert len({tuple(kids(node)) for node in three}) == 1


def test_f13_what_one_node_rotates_the_others_publish_and_everything_stays_good(
    installation: Installation, three: list[Node]
) -> None:
    before = signed_in(installation, three[0])
    made = [installation.command("key", "rotate", "--alg", "RS256"), installation.command("key", "rotate", "--handle")]
    assert all(each["use_from"] > time.time() - 60 for each in made)
    for node in three:
        until(lambda node=node: len(kids(node)) == 3)  # type: ignore[misc]
        assert active(installation, node, before["access_token"])
    after = signed_in(installation, three[1])
    assert refresh(installation, three[2], after["refresh_token"]).status_code == 200
    assert refresh(installation, three[1], before["refresh_token"]).status_code == 200


def test_f13_of_commands_that_rotate_at_once_one_makes_a_key(installation: Installation, three: list[Node]) -> None:
    command = [*DETENT, "key", "rotate", "--pepper", "--json"]
    at_once = [
        subprocess.Popen(
            command, env=PLAIN | installation.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    told = [each.communicate(timeout=60) for each in at_once]
    assert sorted(each.returncode for each in at_once) == [0, 1, 1], told
    assert all("under way" in stderr for stdout, stderr in told if not stdout)
    peppers = [key for key in installation.command("key", "list") if key["purpose"] == "pepper"]
    assert [key["id"] for key in peppers] == ["1", "2"]


def test_a_key_of_an_algorithm_that_another_node_just_made_signs_at_once(
    installation: Installation, three: list[Node]
) -> None:
    curve = "https://curve.example/"
    grants = ("--grant", "client_credentials", "--scope", "read", "--audience", API)
    added = installation.command("client", "add", "--kind", "machine", *grants)
    credentials = (added["client_id"], added["client_secret"])
    form = {"grant_type": "client_credentials", "scope": "read", "resource": curve}
    installation.command("api", "add", curve, "--scope", "read", "--alg", "ES256")
    for node in three:
        answers = [node.ask("/oauth/token", credentials, **form)]
        while answers[-1].status_code != 200 and len(answers) < 100:  # the API itself is known within a second
            time.sleep(0.1)
            answers.append(node.ask("/oauth/token", credentials, **form))
        assert {answer.status_code for answer in answers[:-1]} <= {400, 401}
        token = answers[-1].json()["access_token"]
        assert three[0].ask("/oauth/introspect", credentials, token=token).json()["active"]


def test_attack_l5_a_stolen_signing_key_is_dropped_by_one_command_and_its_tokens_pass_nowhere(
    installation: Installation, three: list[Node]
) -> None:
    stolen = signed_in(installation, three[0])
    compromised = set(kids(three[0]))
    installation.command("key", "rotate", "--alg", "RS256", "--now")
    for node in three:
        until(lambda node=node: compromised.isdisjoint(kids(node)))  # type: ignore[misc]
        assert not active(installation, node, stolen["access_token"])
    for number, node in enumerate(three):
        mine = signed_in(installation, node)
        assert active(installation, three[number - 1], mine["access_token"])
    assert refresh(installation, three[1], stolen["refresh_token"]).status_code == 200, "handles have another key"


def test_attack_l5_what_is_sealed_right_after_a_stolen_handle_key_is_dropped_is_known_to_every_node(
    installation: Installation, three: list[Node]
) -> None:
    """The new key is used at once, before anybody could look for it: whoever meets it looks then."""
    stolen = signed_in(installation, three[0])["refresh_token"]
    installation.command("key", "rotate", "--handle", "--now")
    until(lambda: not active(installation, three[0], stolen))
    new = signed_in(installation, three[0])["refresh_token"]
    answer = refresh(installation, three[1], new)
    assert answer.status_code == 200, answer.text
    assert refresh(installation, three[2], answer.json()["refresh_token"]).status_code == 200


def test_attack_l4_the_key_encryption_key_is_exchanged_while_everything_runs(
    installation: Installation, three: list[Node]
) -> None:
    token = signed_in(installation, three[0])
    file, new = installation.folder / "kek", new_kek()
    old = file.read_text().split()
    kek_file(file, new, *old)
    count = len(installation.command("key", "list"))
    assert installation.command("key", "rewrap") == {"rewrapped": count}
    assert installation.command("key", "rewrap") == {"rewrapped": 0}
    kek_file(file, new)
    assert len(installation.command("key", "list")) == count
    told = refused(installation, key_encryption_key=str(kek_file(installation.folder / "old kek", *old)))
    assert "are wrapped under the key-encryption key" in told
    for node in three:
        assert active(installation, node, token["access_token"])
    with installation.node("again", data=str(installation.folder / "d")) as fourth:
        assert refresh(installation, fourth, token["refresh_token"]).status_code == 200


def test_attack_l10_a_node_that_does_not_belong_here_does_not_start_and_says_why(
    installation: Installation, three: list[Node], tmp_path: Path
) -> None:
    wrong = kek_file(tmp_path / "kek")
    told = refused(installation, key_encryption_key=str(wrong))
    assert told.startswith("keys_unusable: The keys in the store are wrapped under the key-encryption key ")
    assert str(wrong) in told
    assert wrong.read_text().strip() not in told
    assert "cannot be read (No such file" in refused(installation, key_encryption_key=str(tmp_path / "none"))
    wrong.chmod(0o644)
    assert "open to others" in refused(installation, key_encryption_key=str(wrong))
    other = refused(installation, issuer="https://other.example/")
    assert "https://other.example/ is not the issuer" in other
    assert "served as https://id.example/" in other
    in_a_directory = refused(installation, keys="directory", data=str(tmp_path / "data"))
    assert 'has its keys in the store. Set keys = "store"' in in_a_directory
    assert not (tmp_path / "data" / "keys").exists(), "it makes no key that is not the installation's"


def test_attack_l10_nodes_with_other_keys_in_their_directory_do_not_start(cluster: Cluster, tmp_path: Path) -> None:
    installation = Installation(tmp_path, cluster.new_database(), proxies="1")
    with installation.node() as node:
        known = kids(node)
    told = refused(installation, data=str(tmp_path / "empty"))
    assert all(kid in told for kid in known)
    assert f"{tmp_path / 'empty' / 'keys'} holds none" in told
    assert "share them through the store" in told
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    FileKeys.open(tmp_path / "elsewhere" / "keys", SystemClock())
    elsewhere = {"DETENT_DATA": str(tmp_path / "elsewhere")}
    others = [path.name.split(".")[1] for path in (tmp_path / "elsewhere" / "keys").glob("RS256.*")]
    told = refused(installation, data=elsewhere["DETENT_DATA"])
    assert all(kid in told for kid in (*known, *others))
    subprocess.run([*DETENT, "adopt", "--json"], env=PLAIN | installation.env | elsewhere, check=True)
    with installation.node(data=elsewhere["DETENT_DATA"]) as node:
        assert sorted(kids(node)) == sorted(others)
    assert "holds other ones" in refused(installation)


def test_attack_l10_a_clock_that_is_off_the_databases_is_told_of(
    installation: Installation, three: list[Node], tmp_path: Path
) -> None:
    """The clock of this process is moved, as that of a machine would be."""

    async def told_at(seconds: int) -> tuple[str, str]:
        settings = load({"data": str(tmp_path / "data")}, installation.env)
        async with opened(settings) as office:
            right = await database_differs(office)
            office.clock = SystemClock(lambda: time.time() + seconds)
            return right, await database_differs(office)

    assert asyncio.run(told_at(3)) == ("", "")
    right, wrong = asyncio.run(told_at(-90))
    assert right == ""
    assert re.match(r"This machine's clock is (89|90|91) seconds behind the database's. Set both; use NTP.", wrong)
    assert installation.doctor()["the clock agrees with the database's"]["ok"]


def test_an_installation_moves_its_keys_into_the_store_and_every_token_stays_good(
    cluster: Cluster, tmp_path: Path
) -> None:
    installation = Installation(tmp_path, cluster.new_database(), proxies="1")
    with installation.node("before") as node:
        installation.furnish()
        token = signed_in(installation, node)
    installation.env["DETENT_KEY_ENCRYPTION_KEY"] = str(kek_file(tmp_path / "kek"))
    assert "`detent key import`" in refused(installation, keys="store", data=str(tmp_path / "new"))
    keys = installation.command("key", "list")
    with installation.node("meanwhile") as old:
        assert installation.command("key", "import") == {"keys": len(keys)}
        token = refresh(installation, old, token["refresh_token"]).json()
        with installation.node("after", keys="store", data=str(tmp_path / "new")) as new:
            assert active(installation, new, token["access_token"])
            token = refresh(installation, new, token["refresh_token"]).json()
            assert active(installation, old, token["access_token"])
    assert 'Set keys = "store"' in refused(installation)
    installation.env["DETENT_KEYS"] = "store"
    assert installation.command("key", "list") == keys
