"""`detent migrate`: a store moves to PostgreSQL with all that is good and all that is not, and never lives twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import psycopg
import pytest

from detent.cli.identity import KEYS_FOLDER
from detent.cli.mark import MARK_FILE
from detent.cli.office import STORE_FILE
from detent.stores.moving import NOT_MOVED, ONLY_THERE, planned
from detent.stores.postgres.arriving import Target
from detent.stores.sqlite.connection import open_connection
from detent.stores.sqlite.leaving import Source
from tests.cli.conftest import Cli
from tests.faults.nodes import Installation, nodes
from tests.postgres import Cluster, running_cluster

pytestmark = pytest.mark.slow
ROOT: Final = Path(__file__).parents[2]
EVERY: Final = int(os.environ.get("FAULTS_MOVES", "32"))  # 1: killed before each statement of the move


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def empty(cluster: Cluster) -> str:
    return cluster.new_database()


@pytest.fixture
def installation(tmp_path: Path, shared_keys: Path) -> Installation:
    shutil.copytree(shared_keys, tmp_path / "data" / KEYS_FOLDER)
    (tmp_path / "data").chmod(0o700)
    return Installation(tmp_path)


def token(installation: Installation, node: Any, client: str = "strict", **form: str) -> Any:
    asked = form or {"grant_type": "password", **installation.person}
    return node.ask("/oauth/token", installation.clients[client], **asked)


def refreshed(installation: Installation, node: Any, presented: str, client: str = "strict", **more: str) -> Any:
    return token(installation, node, client, grant_type="refresh_token", refresh_token=presented, **more)


def ended(node: Any) -> None:
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(60) == 0


def on_postgres(installation: Installation, conninfo: str) -> Installation:
    """The same house with the setting `store`."""
    moved = Installation(installation.folder, conninfo)
    moved.clients, moved.person, moved.policies = installation.clients, installation.person, installation.policies
    return moved


def test_every_refresh_token_is_after_the_move_what_it_was_before(installation: Installation, empty: str) -> None:
    key = "k" * 22
    with nodes(installation, 1) as [node]:
        used, revoked, lost = (token(installation, node).json()["refresh_token"] for _ in range(3))
        good = refreshed(installation, node, used).json()["refresh_token"]
        node.ask("/oauth/revoke", installation.clients["strict"], token=revoked)
        unheard = refreshed(installation, node, lost, retry_key=key).json()["refresh_token"]
        untouched = token(installation, node, "tolerant").json()["refresh_token"]
        ended(node)
    told = installation.command("migrate", "--to", empty)
    assert told["tables"]["family"]["rows"] == 4
    with nodes(on_postgres(installation, empty), 1) as [node]:
        assert refreshed(installation, node, revoked).status_code == 400
        assert refreshed(installation, node, lost, retry_key=key).json()["refresh_token"] == unheard, (
            "the same successor"
        )
        assert refreshed(installation, node, unheard).status_code == 200
        assert refreshed(installation, node, untouched, "tolerant").status_code == 200
        newest = refreshed(installation, node, good).json()["refresh_token"]
        assert refreshed(installation, node, used).status_code == 400, "reuse is noticed across the move"
        assert refreshed(installation, node, newest).status_code == 400
        assert token(installation, node).status_code == 200
        ended(node)
    assert on_postgres(installation, empty).command("audit", "verify")["whole"]


def last_line(installation: Installation, *command: str) -> str:
    """What a command says at last that ends with 1; before it comes what it has done."""
    result = Cli(installation.data).run(*command, "--json")
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    return str(json.loads(result.stderr.splitlines()[-1])["error_description"])


def test_what_moved_is_not_served_twice(installation: Installation, empty: str) -> None:
    with nodes(installation, 1):
        pass
    installation.command("migrate", "--to", empty)
    code, said = Cli(installation.data).refused("serve", "--issuer", "https://id.example/", "--port", "0")
    assert code == "store_unavailable"
    assert "was moved to the PostgreSQL database" in said
    assert "--undo" in said
    with nodes(on_postgres(installation, empty), 1):
        pass
    assert "is in use in" in last_line(installation, "migrate", "--to", empty, "--undo")
    assert "Nothing is left to do" in last_line(installation, "migrate", "--to", empty)


AWKWARD: Final = "tab\t, line\r\n, \\N \\x41 \\\\, quote ' \" and \U0001f511 \u00e9"


def filled(data: Path, rows: int = 3) -> Path:
    """A store with rows in every table that the schema has, of whatever its columns can hold."""
    data.mkdir(mode=0o700, parents=True)
    with closing(open_connection(data / STORE_FILE)) as db:
        for table in moving_tables(data):
            if table == "installation":
                continue
            columns = db.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', (table,)).fetchall()
            for number in range(1, rows + 1):
                values = [a_value(str(kind), bool(needed), number) for _, kind, needed in columns]
                marks = ", ".join("?" * len(values))
                db.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608
        db.execute("UPDATE installation SET restore_epoch = 2, server_epoch = 3, beats = 41")
    return data


def a_value(kind: str, needed: bool, number: int) -> Any:
    if number == 1 and not needed:
        return None
    numbers = {1: 0, 2: 2, 3: 1 << 14}
    return {"INTEGER": numbers.get(number, number), "TEXT": f"{AWKWARD} {number}", "BLOB": bytes([0, 255, 92, number])}[
        kind
    ]


def moving_tables(data: Path) -> list[str]:
    with Source.opened(data / STORE_FILE) as source:
        return sorted(source.columns().keys() - NOT_MOVED.keys())


def all_rows_here(data: Path) -> dict[str, Any]:
    with closing(apsw.Connection(str(data / STORE_FILE))) as db:
        db.row_trace = lambda cursor, row: dict(zip([name for name, _ in cursor.getdescription()], row, strict=True))
        return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in moving_tables(data)}  # noqa: S608


def all_rows_there(conninfo: str, tables: list[str]) -> dict[str, Any]:
    with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608


def alike(rows: list[dict[str, Any]], *without: str) -> list[str]:
    return sorted(repr(sorted((name, value) for name, value in row.items() if name not in without)) for row in rows)


def moved(data: Path, conninfo: str, *flags: str) -> Any:
    result = Cli(data).run("migrate", "--to", conninfo, "--json", *flags)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_row_of_every_table_of_the_schema_arrives_as_it_was(tmp_path: Path, empty: str) -> None:
    data = filled(tmp_path / "data")
    told = moved(data, empty)
    here, there = all_rows_here(data), all_rows_there(empty, moving_tables(data))
    assert told["tables"].keys() == here.keys() >= {"family", "session", "record", "event", "audit_link", "person"}
    assert {table: each["rows"] for table, each in told["tables"].items()} == {t: len(rows) for t, rows in here.items()}
    for table, rows in here.items():
        assert len(rows) == (1 if table == "installation" else 3)
        only_there = ONLY_THERE.get(table, {})
        assert alike(there[table], "moved", *only_there) == alike(rows, "moved"), table
    [installation] = there["installation"]
    assert (installation["restore_epoch"], installation["server_epoch"], installation["beats"]) == (2, 3, 42)
    assert installation["moved"] == ""
    assert json.loads((data / MARK_FILE).read_text())["beats"] == 42


def test_every_table_of_both_schemas_moves_or_says_why_not(cluster: Cluster, tmp_path: Path, empty: str) -> None:
    data = filled(tmp_path / "data")
    moved(data, empty)
    with Source.opened(data / STORE_FILE) as source, Target.opened(empty) as target:
        here, there = source.columns(), target.columns()
    parts = {part.table: part for part in planned(here, there)}
    assert here.keys() == there.keys()
    for table, columns in there.items():
        assert table in parts or NOT_MOVED[table]
        for column in columns if table in parts else ():
            known = {*parts[table].columns, *parts[table].constants}
            assert column in known or NOT_MOVED[f"{table}.{column}"]
    with pytest.raises(Exception, match="table later differs"):
        planned({**here, "later": ("a",)}, there)
    with pytest.raises(Exception, match="table client differs"):
        planned(here, {**there, "client": (*there["client"], "later")})


def test_numbers_that_were_given_are_not_given_again(tmp_path: Path, empty: str) -> None:
    """Also of events that are gone: the chain over the log would take a second one for a forgery."""
    data = filled(tmp_path / "data")
    with closing(apsw.Connection(str(data / STORE_FILE))) as db:
        db.execute("INSERT INTO event VALUES (70000, 1, 'x', '', '{}')")
        db.execute("DELETE FROM event WHERE seq = 70000")
    moved(data, empty)
    with psycopg.connect(empty) as connection:
        given = connection.execute("INSERT INTO event (at, name, about, body) VALUES (1, 'x', '', '{}') RETURNING seq")
        assert given.fetchall() == [(70001,)]


def test_a_store_in_which_nothing_happened_moves_too(tmp_path: Path, empty: str) -> None:
    assert moved(filled(tmp_path / "data", rows=0), empty)["tables"]["event"]["rows"] == 0
    with psycopg.connect(empty) as connection:
        given = connection.execute("INSERT INTO event (at, name, about, body) VALUES (1, 'x', '', '{}') RETURNING seq")
        assert given.fetchall() == [(1,)]


def test_a_database_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path, empty: str) -> None:
    data, other = filled(tmp_path / "data"), filled(tmp_path / "other")
    moved(other, empty)
    before = all_rows_there(empty, moving_tables(data))
    assert "holds another installation. Name an empty" in last_line(Installation(tmp_path), "migrate", "--to", empty)
    assert all_rows_there(empty, moving_tables(data)) == before
    open_connection(data / STORE_FILE).close()  # and the file is at home


def test_a_database_on_which_a_server_lived_is_refused(installation: Installation, empty: str) -> None:
    with nodes(on_postgres(installation, empty), 1):
        pass
    filled(installation.folder / "other" / "data")
    house = Installation(installation.folder / "other")
    assert "holds another installation" in last_line(house, "migrate", "--to", empty)


def test_a_database_of_something_else_and_one_that_does_not_answer_are_refused(tmp_path: Path, empty: str) -> None:
    house = Installation(filled(tmp_path / "data").parent)
    with psycopg.connect(empty) as connection:
        connection.execute("CREATE TABLE theirs (a int)")
    assert "holds something else" in last_line(house, "migrate", "--to", empty)
    assert "cannot be opened" in last_line(house, "migrate", "--to", "host=/nowhere user=me")
    said = last_line(house, "migrate", "--to", "host=/nowhere user=me password=secret-word")
    assert "PGPASSFILE" in said
    assert "secret-word" not in said
    open_connection(house.data / STORE_FILE).close()


def test_a_directory_without_a_store_has_nothing_to_move(tmp_path: Path, empty: str) -> None:
    (tmp_path / "data").mkdir()
    assert "There is no store in" in last_line(Installation(tmp_path), "migrate", "--to", empty)


def test_nobody_moves_a_store_under_a_running_server(installation: Installation, empty: str) -> None:
    with nodes(installation, 1):
        assert "Stop it first" in last_line(installation, "migrate", "--to", empty)


def test_attack_f12_a_store_from_the_past_is_not_made_the_newest_by_moving_it(tmp_path: Path, empty: str) -> None:
    data = filled(tmp_path / "data")
    [installation] = all_rows_here(data)["installation"]
    (data / MARK_FILE).write_text(json.dumps({"store_id": installation["store_id"], "restore_epoch": 2, "beats": 99}))
    assert "older than it was" in last_line(Installation(tmp_path), "migrate", "--to", empty)


def test_attack_f12_a_copy_from_before_the_move_is_not_served_after_it(tmp_path: Path, empty: str) -> None:
    data = filled(tmp_path / "data")
    shutil.copy(data / STORE_FILE, tmp_path / "copy.db")
    moved(data, empty)
    for ending in ("", "-wal", "-shm"):
        (data / f"{STORE_FILE}{ending}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy.db", data / STORE_FILE)
    said = Cli(data).refused("serve", "--issuer", "https://id.example/", "--port", "0", "--proxies", "1")
    assert "older than it was" in said[1]


def test_a_move_can_be_undone_while_nobody_used_the_new_place(tmp_path: Path, cluster: Cluster, empty: str) -> None:
    house = Installation(filled(tmp_path / "data").parent)
    before = all_rows_here(house.data)
    moved(house.data, empty)
    another = cluster.new_database()
    assert "is another database. Name the first one" in last_line(house, "migrate", "--to", another)
    moved(house.data, empty, "--undo")
    after = all_rows_here(house.data)
    del before["installation"], after["installation"]
    assert after == before
    Cli(house.data)("key", "list")
    said = Cli(house.data).run("key", "list", env={"DETENT_STORE": empty})
    assert said.exit_code == 1
    assert "was undone" in said.output
    assert "was undone" in last_line(house, "migrate", "--to", empty)
    moved(house.data, another)
    moved(house.data, another, "--undo")
    assert "was not moved" in last_line(house, "migrate", "--to", another, "--undo")


def test_after_an_announced_restore_a_store_that_moved_is_served_here_again(tmp_path: Path, empty: str) -> None:
    """The new database is lost, say; what this costs is what every restore costs."""
    data = filled(tmp_path / "data")
    moved(data, empty)
    assert Cli(data).json("restore")["restore_epoch"] == 3
    Cli(data)("key", "list")


def is_home(data: Path) -> bool:
    with Source.opened(data / STORE_FILE) as source:
        return source.gone() is None


def holds(conninfo: str, store_id: str) -> bool:
    """Whether the database would be served as this store."""
    with psycopg.connect(conninfo) as connection:
        [(there,)] = connection.execute("SELECT to_regclass('installation') IS NOT NULL").fetchall()
        if not there:
            return False
        return connection.execute("SELECT store_id FROM installation").fetchall() == [(store_id,)]


def killed(data: Path, conninfo: str, number: int) -> str:
    """What the move printed; empty if it died before its statement of that number."""
    script = [sys.executable, "-m", "tests.stores.moving_in_pieces", str(data), conninfo, str(number)]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.stdout


def test_a_move_killed_before_any_statement_leaves_one_store_and_is_taken_up_again(
    tmp_path: Path, cluster: Cluster
) -> None:
    source = filled(tmp_path / "source")
    [store_id] = [row["store_id"] for row in all_rows_here(source)["installation"]]
    shutil.copytree(source, tmp_path / "whole")
    steps = int(killed(tmp_path / "whole", cluster.new_database(), 0))
    assert steps > 60
    seen = set()
    for number in {*range(1, steps + 1, EVERY), *range(steps - 6, steps + 1)}:
        data, conninfo = tmp_path / f"dead {number}", cluster.new_database()
        shutil.copytree(source, data)
        assert killed(data, conninfo, number) == ""
        home, there = is_home(data), holds(conninfo, store_id)
        seen.add((home, there))
        told = moved(data, conninfo)
        assert told["tables"]["family"]["rows"] == 3
        assert not is_home(data)
        assert holds(conninfo, store_id)
        cluster.drop_database(conninfo)
    assert seen == {(True, False), (False, False), (False, True)}, "both at no time, none and the new one near the end"
