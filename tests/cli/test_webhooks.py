"""`detent webhook …` beside a running server: events reach a real endpoint, killed server or not."""

import signal
from collections.abc import Iterator

import httpx
import pytest

from detent.testing.server import ServerThread
from tests.cli.conftest import Cli, Process, process
from tests.receiving import HANG
from tests.webhooks.receiver import Receiver

HOOK = "https://hook.example/events"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with ServerThread() as thread:
        thread.serve(receiver, receiver.at)
        yield receiver


def stolen(started: Process) -> None:
    def ask(**form: str) -> httpx.Response:
        return httpx.post(f"{started.ready['issuer']}oauth/token", data=form, auth=("testclient", "secret"))

    first = ask(grant_type="password", username="test", password="test").json()["refresh_token"]
    ask(grant_type="refresh_token", refresh_token=first)
    assert ask(grant_type="refresh_token", refresh_token=first).status_code == 400


def test_a_webhook_is_added_shown_listed_and_removed_and_its_secret_shown_once(cli: Cli) -> None:
    added = cli.json("webhook", "add", HOOK, "--events", "reuse_detected, suspected", "--events", "code_replayed")
    secret = added.pop("secret")
    assert secret.startswith("whsec_")
    assert (added["url"], added["state"], added["owed"]) == (HOOK, "active", 0)
    assert added["events"] == ["reuse_detected", "suspected", "code_replayed"]
    assert cli.json("webhook", "show", added["id"]) == added
    assert cli.json("webhook", "list") == [added]
    assert HOOK in cli("webhook", "list")
    assert secret.encode() not in cli.everything()
    again = cli.json("webhook", "rotate-secret", added["id"], "--overlap", "60")
    assert again["secret"] not in (secret, None)
    assert cli.json("webhook", "enable", added["id"])["state"] == "active"
    assert cli.json("webhook", "remove", added["id"]) == {"id": added["id"], "removed": True}
    assert cli.json("webhook", "list") == []
    assert [event.name for event in cli.events()] == [
        "webhook_added", "webhook_secret_rotated", "webhook_enabled", "webhook_removed"
    ]  # fmt: skip


def test_what_cannot_be_a_webhook_is_refused_with_what_to_do(cli: Cli) -> None:
    cli.json("webhook", "add", HOOK, "--events", "all")
    for arguments, said in (
        (("add", "ftp://hook.example/", "--events", "all"), "it is not an https URL"),
        (("add", HOOK, "--events", "stolen"), "There is no event 'stolen': `all` alone, or of family_created"),
        (("add", HOOK, "--events", "all,suspected"), "There is no event 'all'"),
        (("add", HOOK, "--events", ","), "Name at least one event"),
        (("show", "wh_1"), "There is no webhook 'wh_1'. `detent webhook list` shows"),
        (("remove", "wh_1"), "There is no webhook"),
        (("rotate-secret", "wh_1", "--overlap", "-1"), "The overlap is 0 to 2592000 seconds"),
    ):
        code, description = cli.refused("webhook", *arguments)
        assert said in description
        assert code in ("invalid_request", "not_found")


def test_no_more_than_fifty(cli: Cli) -> None:
    for _ in range(50):
        cli.json("webhook", "add", HOOK, "--events", "all")
    assert "There are 50 webhooks already" in cli.refused("webhook", "add", HOOK, "--events", "all")[1]


def test_a_test_event_goes_to_a_network_that_is_allowed_and_nowhere_else(cli: Cli, receiver: Receiver) -> None:
    added = cli.json("webhook", "add", receiver.url, "--events", "all")
    code, description = cli.refused("webhook", "test", added["id"])
    assert (code, "127.0.0.1 is not a public address" in description) == ("not_delivered", True)
    assert receiver.all() == []
    allowing = {"DETENT_OUTBOUND_ALLOW": "10.0.0.0/8, 127.0.0.1/32"}
    assert cli.run("webhook", "test", added["id"], env=allowing).exit_code == 0
    got = receiver.next()
    assert (got.type, got.is_signed_with(added["secret"])) == ("test", True)
    receiver.statuses.append(500)
    failed = cli.run("webhook", "test", added["id"], env=allowing)
    assert (failed.exit_code, "answered 500" in failed.stderr) == (1, True)
    wrong = cli.run("webhook", "list", env={"DETENT_OUTBOUND_ALLOW": "10.0.0.1/8"})
    assert (wrong.exit_code, "Write networks as 10.1.0.0/16" in wrong.stderr) == (1, True)


def test_after_a_compromise_a_webhook_says_that_its_secret_is_lost(cli: Cli, receiver: Receiver) -> None:
    added = cli.json("webhook", "add", receiver.url, "--events", "all")
    cli("key", "rotate", "--audit", "--now")
    assert "`detent webhook rotate-secret`" in cli.refused("webhook", "test", added["id"])[1]
    assert receiver.all() == []


@pytest.mark.slow
def test_a_server_killed_while_the_endpoint_thinks_sends_the_event_again_once_it_is_back(
    cli: Cli, receiver: Receiver
) -> None:
    receiver.statuses.extend([204, HANG])
    with process(cli.data.parent / "log", "up", "--port", "0", "--data", str(cli.data)) as started:
        added = cli.json("webhook", "add", receiver.url, "--events", "reuse_detected")
        stolen(started)
        first = receiver.next()
        stolen(started)
        second = receiver.next()
        started.end(signal.SIGKILL)
    assert cli.json("webhook", "list")[0]["owed"] == 1
    with process(cli.data.parent / "log", "up", "--port", "0", "--data", str(cli.data)) as started:
        stolen(started)
        again, third = receiver.got.get(timeout=60), receiver.got.get(timeout=60)
    assert [each.is_signed_with(added["secret"]) for each in (first, second, again, third)] == [True] * 4
    assert again.id == second.id
    assert first.seq < second.seq < third.seq
