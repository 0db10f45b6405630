"""Cut-offs and sign-outs in a history: a right server's refusals after them are explained, and whoever is out of their
reach is still owed an answer; a server that ignores one is found out, at refresh, introspection and userinfo.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from detent.admin.families import Families
from detent.core.authorization import Epochs
from detent.core.changes import Changes, EndFamilies, EndSessions
from detent.testing.history.check import CUT_OFF_SECONDS
from tests.browsing import Browser
from tests.history.recorded import Recorded
from tests.serving import REDIRECT_URI, VAULT, VERIFIER, Detent, running

pytestmark = pytest.mark.slow
Tokens = dict[str, Any]
CLIENTS: Final = {"test's": "testclient", "ada's": "testclient", "session's": "spa", "offline": "app"}
REACH: Final = {
    "person": {"test's", "session's", "offline"},
    "client": {"test's", "ada's"},
    "server": set(CLIENTS),
    "session": {"session's"},
}


@pytest.fixture
def recorded(tmp_path: Path, keys_folder: Path) -> Iterator[Recorded]:
    with running(tmp_path, keys_folder, "memory") as detent:
        yield Recorded(detent)


@pytest.fixture
def laptop(recorded: Recorded) -> Iterator[Browser]:
    with Browser(recorded.detent) as browser:
        yield browser


def cut_off(run: Recorded, laptop: Browser, whom: str) -> None:
    """Through a door of the product, as it is recorded."""
    detent = run.detent
    house, outside = detent.house, detent.house.outside
    acts: dict[str, Callable[[], object]] = {
        "person": lambda: detent.thread.call(house.people.set_password(detent.user("test").subject, "test")),
        "client": lambda: detent.thread.call(house.registrations.cut_off_client("testclient")),
        "server": lambda: detent.thread.call(
            Families(house.issuing, house.access, house.ending, outside.directory, outside.clock).end_all()
        ),
        "session": lambda: laptop.press(laptop.open("/logout"), "logout-confirm"),
    }
    about = {"person": {"person": "test"}, "client": {"client": "testclient"}, "session": {"session": "laptop"}}
    run.cut_off(acts[whom], **about.get(whom, {}))


def signed_in(run: Recorded, laptop: Browser) -> dict[str, Tokens]:
    """Two people, three clients; one family ends with its session, and one of the same session does not."""

    def by_code(client: str, session: str, scope: str) -> Tokens:
        code = laptop.sign_in(client, scope=scope, resource=VAULT)["code"]
        form: Tokens = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
        answer = run.ask("/oauth/token", client, person="test", session=session, code_verifier=VERIFIER, **form)
        tokens: Tokens = answer.json()
        return tokens

    return {
        "test's": run.sign_in(scope="openid read"),
        "ada's": run.sign_in(scope="openid read", person="ada", username="ada", password="lovelace"),
        "session's": by_code("spa", "laptop", "openid read"),
        "offline": by_code("app", "", "openid read offline_access"),
    }


def asked_of(run: Recorded, held: dict[str, Tokens], *, refresh: bool = True) -> set[str]:
    """Everybody looks at the access token, and refreshes as one who was promised an answer; who got one."""
    served = set()
    for name, tokens in held.items():
        run.ask("/oauth/introspect", "demo-api", token=tokens["access_token"])
        run.known(tokens["access_token"])
        if refresh and "refresh_token" in run.refresh(tokens["refresh_token"], CLIENTS[name], promised=True):
            served.add(name)
    return served


@pytest.mark.parametrize("whom", REACH)
def test_i5_a_right_server_ends_what_a_cut_off_reaches_and_serves_the_rest(
    recorded: Recorded, laptop: Browser, whom: str
) -> None:
    held = signed_in(recorded, laptop)
    cut_off(recorded, laptop, whom)
    recorded.detent.clock.advance(CUT_OFF_SECONDS + 1)
    assert asked_of(recorded, held) == set(CLIENTS) - REACH[whom]
    looks = [request for request in recorded.recorder.requests if request.kind in ("introspect", "userinfo")]
    assert [request.active for request in looks] == [name not in REACH[whom] for name in CLIENTS for _ in range(2)]
    assert [str(violation) for violation in recorded.violations()] == []


@pytest.mark.parametrize("whom", REACH)
def test_i7_the_same_refusals_without_their_cut_off_are_found(recorded: Recorded, laptop: Browser, whom: str) -> None:
    held = signed_in(recorded, laptop)
    cut_off(recorded, laptop, whom)
    recorded.recorder.requests.pop()
    asked_of(recorded, held)
    accused = {violation.requests[-1].client for violation in recorded.violations() if violation.invariant == "I7"}
    assert accused == {CLIENTS[name] for name in REACH[whom]}


def the_cut_off_is_ignored(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Epochs, "behind", lambda *_: False)
    honest = detent.store.apply

    async def forgetful(changes: Changes) -> None:
        kept = [part for part in changes.parts if not isinstance(part, EndFamilies | EndSessions)]
        await honest(Changes(tuple(kept), changes.events))

    detent.store.apply = forgetful


@pytest.mark.parametrize("refresh", [True, False], ids=["at refresh", "at access tokens"])
@pytest.mark.parametrize("whom", REACH)
def test_i5_a_server_that_ignores_a_cut_off_is_found(
    recorded: Recorded, laptop: Browser, monkeypatch: pytest.MonkeyPatch, whom: str, *, refresh: bool
) -> None:
    held = signed_in(recorded, laptop)
    the_cut_off_is_ignored(recorded.detent, monkeypatch)
    cut_off(recorded, laptop, whom)
    recorded.detent.clock.advance(CUT_OFF_SECONDS + 1)
    asked_of(recorded, held, refresh=refresh)
    accused = [each for each in recorded.violations() if each.invariant == "I5"]
    kinds = {"introspect", "userinfo"} | ({"refresh_token"} if refresh else set())
    assert {each.requests[-1].kind for each in accused} == kinds
    refreshing = {each.requests[-1].client for each in accused if each.requests[-1].kind == "refresh_token"}
    assert refreshing == ({CLIENTS[name] for name in REACH[whom]} if refresh else set())
    assert all(": cut-off of " in str(each) for each in accused)


def test_i5_a_second_is_given_to_what_every_node_has_to_hear_of(
    recorded: Recorded, laptop: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's or the server's cut-off may take one; a person's holds at once."""
    held = signed_in(recorded, laptop)
    the_cut_off_is_ignored(recorded.detent, monkeypatch)
    cut_off(recorded, laptop, "server")
    asked_of(recorded, held)
    assert recorded.found() == set()
    cut_off(recorded, laptop, "person")
    asked_of(recorded, held, refresh=False)
    assert recorded.found() == {"I5"}
