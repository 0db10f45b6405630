"""Attack on the audit log (row L7): edited, cut, reordered, or missing after a crash; the chain breaks visibly."""

import json
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest
from click.testing import CliRunner, Result

from detent.audit.chain import Chain
from detent.audit.prune import prune
from detent.cli.main import main
from detent.core.changes import InsertWebhook
from detent.core.errors import InvalidRequest
from detent.core.ids import Instant
from detent.core.webhook import SecretSeed, Webhook
from tests.cli.conftest import Process, process
from tests.serving import START, Detent, running

pytestmark = pytest.mark.sqlite  # what is tampered with is its file; tests/stores/test_postgres.py has the other order

Tamper = Callable[[apsw.Connection], object]


class Log:
    """An audit log of three links with three events each, and one event that is not linked; nobody serves it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with running(data, data / "keys") as served:
            self.chain_of(served)
            for _ in range(3):
                for name in ("app", "web", "testclient"):
                    served.sign_in(name)
                assert self.link(served) == 1
            served.sign_in("app")

    @staticmethod
    def chain_of(served: Detent) -> Chain:
        outside = served.house.outside
        return Chain(outside.store, outside.directory, outside.keys, outside.clock, outside.entropy)

    def link(self, served: Detent) -> int:
        return served.thread.call(self.chain_of(served).link_all())

    def link_again(self) -> int:
        with running(self.data, self.data / "keys") as served:
            return self.link(served)

    def tampered(self, tamper: Tamper) -> None:
        with closing(apsw.Connection(str(self.data / "detent.db"))) as db:
            tamper(db)

    def report(self, *arguments: str) -> dict[str, Any]:
        command = ["audit", "verify", "--json", "--data", str(self.data), *arguments]
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        report: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (0 if report["whole"] else 1)
        return report

    def findings(self, *arguments: str) -> list[tuple[str, int]]:
        return [(each["kind"], each["number"]) for each in self.report(*arguments)["findings"]]


@pytest.fixture
def log(data: Path) -> Log:
    return Log(data)


def test_attack_l7_a_log_that_nobody_touched_is_whole(log: Log) -> None:
    report = log.report()
    first = json.loads(exported(log.data)[0])["seq"]
    counts = (report["whole"], report["links"], report["events"] + report["unlinked"], report["unlinked"])
    assert counts == (True, 3, len(exported(log.data)), 1)
    assert first == 1
    assert log.report("--head", report["head"])["whole"]


ROWS: dict[str, tuple[Any, ...]] = {  # of what is done to event 4, or to the second link, which holds it among others
    "the body edited": ("UPDATE event SET body = replace(body, 'family_created', 'signed_in') WHERE seq = 4", "edited"),
    "the time edited": ("UPDATE event SET at = at + 1 WHERE seq = 4", "edited"),
    "what it is about edited": ("UPDATE event SET about = 'nobody' WHERE seq = 4", "edited"),
    "made unreadable": ("UPDATE event SET body = 'x' WHERE seq = 4", "edited"),
    "slipped in": ("INSERT INTO event SELECT -1, at, name, about, body FROM event WHERE seq = 4", "inserted", -1),
    "deleted": ("DELETE FROM event WHERE seq = 4", "missing"),
}


@pytest.mark.parametrize("fault", ROWS)
def test_attack_l7_the_row_that_was_tampered_with_is_named(log: Log, fault: str) -> None:
    statement, kind, *other = ROWS[fault]
    finding = (kind, *(other or (4,)))
    log.tampered(lambda db: db.execute(statement))
    assert log.findings() == [finding]
    log.link_again()
    assert log.findings() == [finding], "what is linked later hides nothing"


def test_attack_l7_two_events_that_changed_places_are_both_named(log: Log) -> None:
    log.tampered(
        lambda db: db.execute(
            "UPDATE event SET seq = -4 WHERE seq = 4; UPDATE event SET seq = 4 WHERE seq = 2;"
            "UPDATE event SET seq = 2 WHERE seq = -4"
        )
    )
    assert log.findings() == [("edited", 2), ("edited", 4)]


def test_attack_l7_an_event_slipped_in_where_one_was_deleted_is_no_better(log: Log) -> None:
    log.tampered(lambda db: db.execute("DELETE FROM event WHERE seq = 5"))
    log.tampered(lambda db: db.execute("INSERT INTO event SELECT 5, at, name, about, body FROM event WHERE seq = 1"))
    assert log.findings() == [("edited", 5)]


def test_attack_l7_the_end_cut_off_shows_against_the_newest_link(log: Log) -> None:
    newest = log.report()["events"]
    log.tampered(lambda db: db.execute("DELETE FROM event WHERE seq >= ?", (newest - 1,)))
    assert log.findings() == [("missing", newest - 1), ("missing", newest)]


def test_attack_l7_an_end_cut_off_with_its_links_shows_against_a_head_noted_elsewhere(log: Log) -> None:
    head = log.report()["head"]
    log.tampered(lambda db: cut_behind(db, 2))
    assert log.findings() == []
    assert log.findings("--head", head) == [("other_head", 3)]
    log.tampered(lambda db: db.execute("INSERT INTO event (at, name, about, body) VALUES (1, 'signed_in', '', '{}')"))
    log.link_again()
    assert log.findings("--head", head) == [("other_head", 3)], "a link of the same number is not the same link"


def cut_behind(db: apsw.Connection, number: int) -> None:
    [(body,)] = db.execute("SELECT body FROM audit_link WHERE number = ?", (number,)).fetchall()
    last = json.loads(str(body))["rows"][-1][0]
    db.execute("DELETE FROM audit_link WHERE number > ?", (number,))
    db.execute("DELETE FROM event WHERE seq > ?", (last,))
    db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'", (last,))


def test_attack_l7_an_event_deleted_before_it_was_linked_leaves_a_gap(log: Log) -> None:
    unlinked = log.report()["events"] + 1
    log.tampered(lambda db: db.execute("DELETE FROM event WHERE seq = ?", (unlinked,)))
    with running(log.data, log.data / "keys") as served:
        served.sign_in("app")
    assert log.findings() == [("gap", unlinked)]
    assert log.link_again() == 1
    assert log.findings() == [("gap", unlinked)]


LINKS = {
    "altered": ("UPDATE audit_link SET body = replace(body, '\"node\"', ' \"node\"') WHERE number = 2", "bad_link"),
    "another's": ("UPDATE audit_link SET (body, tag) = (SELECT body, tag FROM audit_link WHERE number = 1) "
                  "WHERE number = 2", "bad_link"),
    "without its tag": ("UPDATE audit_link SET tag = zeroblob(32) WHERE number = 2", "bad_link"),
    "nonsense": ("UPDATE audit_link SET body = '{}' WHERE number = 2", "bad_link"),
    "gone": ("DELETE FROM audit_link WHERE number = 2", "missing_link"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LINKS)
def test_attack_l7_a_link_that_was_tampered_with_is_named_and_the_others_still_prove_their_events(
    log: Log, fault: str
) -> None:
    statement, kind = LINKS[fault]
    log.tampered(lambda db: db.execute(statement))
    findings = log.findings()
    assert (kind, 2) in findings
    assert {number for _, number in findings} <= {2, 3}
    log.tampered(lambda db: db.execute("UPDATE event SET at = 1 WHERE seq = 1"))
    assert ("edited", 1) in log.findings()


def test_attack_l7_without_the_key_directory_nobody_makes_a_link(log: Log, tmp_path: Path, keys_folder: Path) -> None:
    """Every digest computed anew, tagged with a key of the attacker's own."""
    head = log.report()["head"]
    log.tampered(lambda db: db.execute("UPDATE event SET at = 1 WHERE seq = 1; DELETE FROM audit_link"))
    ours = next((log.data / "keys").glob("audit.*"))
    ours.rename(tmp_path / ours.name)
    log.link_again()
    (tmp_path / ours.name).replace(log.data / "keys" / ours.name)
    assert [kind for kind, _ in log.findings()] == ["bad_link"]
    assert ("other_head", 3) in log.findings("--head", head)


def test_attack_l7_nothing_is_hung_on_a_link_that_is_not_ours(log: Log) -> None:
    log.tampered(lambda db: db.execute("UPDATE audit_link SET tag = zeroblob(32) WHERE number = 3"))
    with running(log.data, log.data / "keys") as served, pytest.raises(Exception, match=r"Link 3 .* altered"):
        log.link(served)


def test_attack_l7_links_of_a_rotated_key_still_hold_and_after_a_compromise_say_so(log: Log) -> None:
    rotate = ["key", "rotate", "--audit", "--data", str(log.data)]
    assert CliRunner().invoke(main, rotate).exit_code == 0
    assert log.report()["whole"]
    assert CliRunner().invoke(main, [*rotate, "--now"]).exit_code == 0
    log.link_again()
    assert log.findings() == [("unknown_key", number) for number in (1, 2, 3)]


def test_attack_l7_nodes_that_link_at_once_make_one_chain(data: Path) -> None:
    with running(data, data / "keys") as served:
        chains = [Log.chain_of(served) for _ in range(4)]
        for _ in range(5):
            served.sign_in("app")
            linking = [served.thread.submit(chain.link_all()) for chain in chains]
            assert sum(each.result() for each in linking) == 1
        links = served.thread.call(served.store.audit_links())
    assert [link.number for link in links] == [1, 2, 3, 4, 5]
    result = CliRunner().invoke(main, ["audit", "verify", "--data", str(data)])
    assert (result.exit_code, "unlinked  0" in result.stdout) == (0, True), result.stdout


def exported(data: Path, *arguments: str) -> list[str]:
    return CliRunner().invoke(main, ["audit", "export", "--data", str(data), *arguments]).stdout.splitlines()


def test_attack_l7_an_export_goes_on_where_the_last_one_ended(log: Log) -> None:
    whole = exported(log.data)
    assert [json.loads(line)["seq"] for line in whole] == list(range(1, len(whole) + 1))
    assert exported(log.data, "--after", "4") == whole[4:]
    log.tampered(lambda db: db.execute("UPDATE event SET body = '[1' WHERE seq = 2"))
    assert json.loads(exported(log.data)[1])["unreadable"] == "[1"


def pruned(log: Log, days: int) -> Result:
    return CliRunner().invoke(main, ["audit", "prune", "--keep-days", str(days), "--data", str(log.data)])


def test_attack_l7_what_was_pruned_leaves_a_chain_that_hangs_on_an_anchor(log: Log) -> None:
    assert "Pruned 0 events" in pruned(log, 36_500).stdout
    head, events = log.report()["head"], exported(log.data)
    before = log.report()
    log_pruned = pruned_by_the_house(log)
    after = log.report("--head", head)
    assert (after["whole"], after["links"], after["head"]) == (True, 1, head)
    assert log_pruned == before["events"] - after["events"] > 0
    assert exported(log.data)[:-1] == events[log_pruned:]
    assert "log_pruned" in exported(log.data)[-1]
    log.link_again()
    assert log.report("--head", head)["whole"]
    assert log.findings("--head", "1:" + 64 * "0") == [("other_head", 1)]


def pruned_by_the_house(log: Log) -> int:
    with running(log.data, log.data / "keys") as served:
        outside = served.house.outside
        ports = (outside.store, outside.directory, outside.keys, outside.clock)
        gone: int = served.thread.call(prune(*ports, Instant(START + 1)))
    return gone


ANCHORS = {
    "an anchor of one's own": 'INSERT INTO audit_link SELECT 0, \'{"number":1,"hash":"","last":3,"key":1}\', tag '
    "FROM audit_link WHERE number = 1",
    "no anchor": "SELECT 1",
}


@pytest.mark.parametrize("fault", ANCHORS)
def test_attack_l7_a_beginning_cut_off_is_not_taken_for_pruned(log: Log, fault: str) -> None:
    log.tampered(lambda db: db.execute(ANCHORS[fault]))
    log.tampered(lambda db: db.execute("DELETE FROM audit_link WHERE number = 1; DELETE FROM event WHERE seq <= 3"))
    assert {("missing_link", 1)} <= set(log.findings())


def test_attack_l7_an_anchor_that_was_altered_or_an_event_behind_it_shows(log: Log) -> None:
    pruned_by_the_house(log)
    log.tampered(
        lambda db: db.execute("INSERT INTO event SELECT 2, at, name, about, body FROM event WHERE seq > 2 LIMIT 1")
    )
    assert log.findings() == [("inserted", 2)]
    assert "not whole" in pruned(log, 36_500).stderr
    log.tampered(lambda db: db.execute("UPDATE audit_link SET tag = zeroblob(32) WHERE number = 0"))
    assert ("bad_link", 0) in log.findings()


def test_a_log_that_a_webhook_is_owed_from_is_not_pruned(log: Log) -> None:
    with running(log.data, log.data / "keys") as served:
        outside = served.house.outside
        ports = (outside.store, outside.directory, outside.keys, outside.clock)
        seeds = (SecretSeed(1, bytes(16)),)
        served.apply(InsertWebhook(Webhook("wh_1", "https://hook.example/", ("family_created",), START, seeds, 0)))
        with pytest.raises(InvalidRequest, match="Webhook wh_1 is owed"):
            served.thread.call(prune(*ports, Instant(START + 1)))
        assert served.thread.call(prune(*ports, START)) == 0


def stolen(started: Process) -> httpx.Response:
    def ask(**form: str) -> httpx.Response:
        return httpx.post(f"{started.ready['issuer']}oauth/token", data=form, auth=("testclient", "secret"))

    first = ask(grant_type="password", username="test", password="test").json()["refresh_token"]
    ask(grant_type="refresh_token", refresh_token=first)
    return ask(grant_type="refresh_token", refresh_token=first)


@pytest.mark.slow
def test_attack_l7_a_node_killed_between_commit_and_link_leaves_a_whole_chain_without_a_gap(data: Path) -> None:
    command = ("up", "--data", str(data), "--port", "0")
    log = Log.__new__(Log)
    log.data = data
    unlinked = 0
    for _ in range(10):  # a link is made within half a second; the kill comes within milliseconds
        with process(data.parent / "log", *command) as started:
            assert stolen(started).status_code == 400
            started.end(signal.SIGKILL)
        report = log.report()
        assert report["whole"]
        unlinked = unlinked or report["unlinked"]
        if unlinked:
            break
    assert unlinked, "it was never killed in between"
    assert "reuse_detected" in exported(data)[-1]
    with process(data.parent / "log", *command):
        deadline = time.monotonic() + 60
        while (report := log.report())["unlinked"] and time.monotonic() < deadline:
            pass
    assert (report["whole"], report["unlinked"]) == (True, 0)
    assert report["events"] == len(exported(data))
