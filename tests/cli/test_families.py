"""`detent family …` beside a running server: why somebody was logged out, told by id, refresh token or support id."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Cli, Process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(running: Process) -> Path:
    return running.log.parent / "data"


@pytest.fixture
def desk(folder: Path) -> Cli:
    return Cli(folder)


def token(started: Process, **form: str) -> httpx.Response:
    return httpx.post(f"{started.ready['issuer']}oauth/token", data=form, auth=("testclient", "secret"))


def refresh(started: Process, refresh_token: str) -> httpx.Response:
    return token(started, grant_type="refresh_token", refresh_token=refresh_token)


class SignedIn:
    """A family of three generations, the newest last."""

    def __init__(self, started: Process, desk: Cli) -> None:
        before = {each["id"] for each in desk.json("family", "list", "--limit", "1000")}
        first = token(started, grant_type="password", username="test", password="test").json()["refresh_token"]
        second = refresh(started, first).json()["refresh_token"]
        self.tokens = [first, second, refresh(started, second).json()["refresh_token"]]
        after = {each["id"] for each in desk.json("family", "list", "--limit", "1000")}
        (self.id,) = after - before


@pytest.fixture
def signed_in(running: Process, desk: Cli) -> SignedIn:
    return SignedIn(running, desk)


def story(desk: Cli, what: str) -> str:
    return "\n".join(desk.json("family", "explain", what)["told"])


def test_a_family_is_found_by_person_and_by_client(desk: Cli, signed_in: SignedIn) -> None:
    for by in (("--user", "TEST"), ("--client", "testclient"), ("--user", "test", "--client", "testclient")):
        assert signed_in.id in [each["id"] for each in desk.json("family", "list", *by, "--limit", "1000")]
    assert desk.json("family", "list", "--user", "ada") == []
    assert desk.json("family", "list", "--client", "demo-web") == []
    assert desk.refused("family", "list", "--user", "nobody")[0] == "not_found"


def test_a_family_is_shown_without_what_makes_its_tokens(desk: Cli, signed_in: SignedIn) -> None:
    shown: dict[str, Any] = desk.json("family", "show", signed_in.id)
    assert (shown["status"], shown["generation"], shown["client_id"]) == ("live", 3, "testclient")
    assert not {"seed", "retry_key"} & set(shown)
    assert signed_in.id in desk("family", "show", signed_in.id)


def test_a_living_family_is_told_by_its_id(desk: Cli, signed_in: SignedIn) -> None:
    told = story(desk, signed_in.id)
    assert "test signed in to Walk-through at" in told
    assert "got its first refresh token. From 127.0.0.0/24." in told
    assert "It lives with refresh token 3, last used at" in told


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (3, "a new access token, and refresh token 4 in its place."),
        (2, "reuse, so it is refused and the family ends at once, with its access tokens (on_reuse revoke)."),
        (1, "reuse, so it is refused and the family ends at once, with its access tokens (on_reuse revoke)."),
    ],
)
def test_a_pasted_refresh_token_is_told_and_neither_spent_nor_repeated(
    number: int, meaning: str, desk: Cli, signed_in: SignedIn
) -> None:
    pasted = signed_in.tokens[number - 1]
    explained = desk.json("family", "explain", "-", stdin=pasted + "\n")
    assert (explained["generation_presented"], explained["family"]["id"]) == (number, signed_in.id)
    assert explained["told"][:2] == [
        f"This is refresh token {number}; the present one is 3.",
        f"Presented now from the same place: {meaning}",
    ]
    assert explained["end"] is None
    assert pasted[-20:] not in desk("family", "explain", pasted)
    assert desk.json("family", "show", signed_in.id)["status"] == "live"


def test_reuse_is_told_by_the_support_id_of_the_answer(running: Process, desk: Cli, signed_in: SignedIn) -> None:
    refused = refresh(running, signed_in.tokens[0]).json()
    told = story(desk, refused["support_id"])
    assert "The answer with this support id" in told
    assert "Refresh token 1 had been used before and was presented again" in told
    assert "because a used refresh token was presented again: one of two holders was a thief." in told
    later = desk.json("family", "explain", signed_in.tokens[2])
    assert later["told"][1] == "Presented now from the same place: refused, and nothing changes: it is over."
    assert later["end"] == {"reason": "reuse", "by": "", "at": later["family"]["history"][-1]["at"]}


def test_a_plain_refusal_is_told_by_its_support_id_and_the_servers_log(
    running: Process, desk: Cli, signed_in: SignedIn
) -> None:
    desk("family", "revoke", signed_in.id)
    support_id = refresh(running, signed_in.tokens[2]).json()["support_id"]
    assert "give that with --log FILE" in desk.refused("family", "explain", support_id)[1]
    explained = desk.json("family", "explain", support_id, "--log", str(running.log))
    assert explained["family"]["id"] == signed_in.id
    assert re.fullmatch(
        f"The answer with this support id, at .*: revoked, family {signed_in.id}.", explained["told"][0]
    )
    assert desk.refused("family", "explain", "0" * 12, "--log", str(running.log))[0] == "not_found"


def test_a_revoked_family_is_over_and_says_by_whom(running: Process, desk: Cli, signed_in: SignedIn) -> None:
    ended = desk.json("family", "revoke", signed_in.id)
    assert (ended["status"], ended["ended_by"]) == ("revoked", "operator")
    assert refresh(running, signed_in.tokens[2]).json()["error"] == "invalid_grant"
    assert "It is over. An operator ended it at 20" in story(desk, signed_in.id)
    assert desk.json("family", "revoke", signed_in.id) == ended
    assert [event.name for event in desk.events() if event.about == signed_in.id] == ["family_created", "revoked"]


def test_a_cut_off_says_for_whom(desk: Cli, running: Process) -> None:
    desk("user", "add", "eve", "--password-stdin", stdin="eve\n")
    token(running, grant_type="password", username="eve", password="eve")
    (family,) = desk.json("family", "list", "--user", "eve")
    desk("user", "update", "eve", "--disable")
    assert "with everything issued to the person until then (disabled)." in story(desk, family["id"])
    assert story(desk, family["id"]).endswith("cannot sign in before: detent user update eve --enable.")
    desk("user", "remove", "eve")
    assert re.match(r"[0-9a-f]{32} \(removed\) signed in", story(desk, family["id"]))
    assert story(desk, family["id"]).endswith("Nobody can sign in as this person any more.")


def test_an_altered_token_is_no_token_of_ours(desk: Cli, signed_in: SignedIn) -> None:
    pasted = signed_in.tokens[2]
    altered = pasted[:-1] + ("A" if pasted[-1] != "A" else "B")
    assert "its tags are wrong" in desk.refused("family", "explain", altered)[1]
    other_client = pasted[:60] + ("A" if pasted[60] != "A" else "B") + pasted[61:]
    assert "its tags are wrong" in desk.refused("family", "explain", other_client)[1]
    assert "no refresh token of a family" in desk.refused("family", "explain", "dtrt_short")[1]


@pytest.mark.parametrize("unknown", ["0123456789ab", "A" * 24, "-" * 24, "", "ünknown", "\x1b[31m"])
def test_what_is_unknown_is_said_to_be(unknown: str, desk: Cli) -> None:
    assert desk.refused("family", "explain", unknown)[0] == "not_found"
    assert desk.refused("family", "show", unknown)[0] == "not_found"


def test_an_id_may_begin_with_a_dash(desk: Cli) -> None:
    assert desk.refused("family", "show", "-" + "A" * 23)[0] == "not_found"


def test_all_of_a_client_is_cut_off_in_one_write(cli: Cli) -> None:
    added = cli.json("client", "add", "--kind", "machine")["client_id"]
    before = cli.stored(added).epoch
    assert cli.json("family", "revoke", "--client", added) == {"client_id": added, "cut_off": True}
    assert cli.stored(added).epoch == before + 1
    told = [(event.name, event.about, event.client_id, event.reason) for event in cli.events()]
    assert told[1:] == [("cut_off_raised", added, added, "operator")]
    assert cli.refused("family", "revoke", "--client", "nobody")[0] == "not_found"


def test_everything_is_cut_off_in_one_write(cli: Cli) -> None:
    cli("user", "add", "ada", "--no-password")
    assert cli.json("family", "revoke", "--all") == {"cut_off": True}
    assert cli.ask(lambda office: office.outside.store.installation()).server_epoch == 1
    assert [(event.name, event.about) for event in cli.events()][1:] == [("cut_off_raised", "server")]


@pytest.mark.parametrize("said", [(), ("x", "--all"), ("--client", "x", "--all"), ("x", "--client", "y")])
def test_what_is_to_end_is_said_once(said: tuple[str, ...], cli: Cli) -> None:
    cli("user", "add", "ada", "--no-password")
    assert "Say one of" in cli.misused("family", "revoke", *said)
