"""`detent family explain`: why somebody was signed out, for every way in which that can happen, over HTTP."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any, Final

import pytest

from detent.admin.errors import NotFound
from detent.admin.families import Story
from detent.admin.registrations import ClientFields
from detent.core.errors import InvalidRequest
from detent.core.ids import ClientId
from detent.core.policy import DAY
from tests.admin.test_families import chain, families
from tests.attacks.test_t_cut_offs import Office
from tests.browsing import Browser
from tests.serving import VAULT, Detent

pytestmark = pytest.mark.slow
NUMBERS: Final = count()
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def end_of(story: Story) -> str:
    return story.end.reason if story.end else ""


def explained(detent: Detent, what: str) -> Story:
    return detent.thread.call(families(detent).explain(what))


class SignedIn:
    """A person of their own, signed in to the native app with a browser; `scope` says whether the app outlives it."""

    def __init__(self, detent: Detent, stack: ExitStack, scope: str = "openid read offline_access") -> None:
        self.detent = detent
        self.name = f"reader-{next(NUMBERS)}"
        self.subject = detent.thread.call(detent.house.people.add(self.name, "password")).subject
        self.laptop = stack.enter_context(Browser(detent, FIREFOX))
        page = self.laptop.log_in(self.laptop.authorize("app", scope=scope, resource=VAULT), self.name, "password")
        code = self.laptop.allow(page).answer["code"]
        self.tokens: dict[str, Any] = detent.redeem("app", code).json()
        self.key = detent.family(self.tokens["refresh_token"], "app").key.text
        detent.clock.advance(100)
        self.tokens = detent.refreshed("app", self.tokens["refresh_token"])
        detent.clock.advance(100)

    def told(self) -> list[str]:
        return list(explained(self.detent, self.key).sentences)

    def press(self, button: str) -> None:
        self.laptop.press(self.laptop.open("/account"), button)

    def call(self, coroutine: Any) -> Any:
        return self.detent.thread.call(coroutine)


@pytest.fixture
def ada(standing: Detent) -> Iterator[SignedIn]:
    with ExitStack() as stack:
        yield SignedIn(standing, stack)


def set_password(ada: SignedIn) -> None:
    ada.call(ada.detent.house.people.set_password(ada.subject, "password"))


def disable(ada: SignedIn) -> None:
    ada.call(ada.detent.house.people.disable(ada.subject))


def remove(ada: SignedIn) -> None:
    ada.call(ada.detent.house.people.remove(ada.subject))


def withdraw(ada: SignedIn) -> None:
    ada.call(ada.detent.house.consents.withdraw(ada.subject, ClientId("app"), ada.detent.clock.now()))


def sign_out_by_operator(ada: SignedIn) -> None:
    ada.call(ada.detent.house.sessions.sign_out(ada.subject, ada.detent.clock.now(), by="operator"))


def disable_client(ada: SignedIn) -> None:
    registrations = Office(ada.detent).registrations
    ada.call(registrations.update_client("app", ClientFields(enabled=False)))
    ada.call(registrations.update_client("app", ClientFields(enabled=True)))


def cut_off_client(ada: SignedIn) -> None:
    ada.call(Office(ada.detent).registrations.cut_off_client("app"))


def cut_off_everything(ada: SignedIn) -> None:
    ada.call(families(ada.detent).end_all())


def revoke_by_client(ada: SignedIn) -> None:
    assert ada.detent.revoke(ada.tokens["refresh_token"], "app").status_code == 200


def end_by_operator(ada: SignedIn) -> None:
    ada.call(families(ada.detent).end(ada.key))


ENDS: dict[str, tuple[Callable[[SignedIn], Any], str, str]] = {
    "password": (set_password, "cut_off_user", "with everything issued to the person until then (password set)"),
    "disabled": (disable, "cut_off_user", "with everything issued to the person until then (disabled)"),
    "removed": (remove, "cut_off_user", "with everything issued to the person until then (removed)"),
    "consent": (withdraw, "consent_withdrawn", "the person's consent for this app was withdrawn"),
    "all by person": (lambda ada: ada.press("sign-out-all"), "person", "The person ended it"),
    "this app by person": (lambda ada: ada.press("end-app"), "person", "The person ended it"),
    "all by operator": (sign_out_by_operator, "operator", "An operator ended it"),
    "by operator": (end_by_operator, "operator", "An operator ended it"),
    "by client": (revoke_by_client, "client", "The app ended it"),
    "client disabled": (disable_client, "cut_off_client", "issued to the client until then (disabled)"),
    "client cut off": (cut_off_client, "cut_off_client", "issued to the client until then (operator)"),
    "everything": (cut_off_everything, "cut_off_server", "issued to anybody until then (operator)"),
    "idle": (lambda ada: ada.detent.clock.advance(30 * DAY), "idle", "because no refresh came for 30 days"),
}


@pytest.mark.parametrize("how", ENDS)
def test_why_it_ended_is_told_with_when_and_by_whom(ada: SignedIn, how: str) -> None:
    end, reason, said = ENDS[how]
    end(ada)
    ended_at = ada.detent.clock.now() - (100 if how == "idle" else 0)
    story = explained(ada.detent, ada.key)
    assert story.end
    assert (story.end.reason, story.end.at) == (reason, ended_at)
    *_, why, what_next = story.sentences
    assert why.startswith("It is over. ")
    assert said in why
    expected = {"disabled": "--enable", "removed": "Nobody can sign in as this person"}
    assert expected.get(how, "The person can sign in to app again; nothing revives this family.") in what_next


@pytest.mark.parametrize(
    ("days", "end", "said"),
    [
        (0, "person", "The person ended it at 20"),
        (3, "session_idle", "with the sign-in session that it came of, which was not used in time"),
    ],
)
def test_what_ends_with_its_session_says_so(standing: Detent, days: int, end: str, said: str) -> None:
    with ExitStack() as stack:
        ada = SignedIn(standing, stack, scope="openid read")
        standing.clock.advance(days * DAY)
        if not days:
            ada.press("sign-out")
        story = explained(standing, ada.key)
        assert end_of(story) == end
        assert said in story.sentences[-2]


def test_the_absolute_end_is_told_with_the_life_that_is_over(detent: Detent) -> None:
    tokens = chain(detent, "app", 9, seconds_between=20 * DAY)  # the last of them after 160 days
    detent.clock.advance(20 * DAY)
    story = explained(detent, tokens[-1])
    assert end_of(story) == "absolute"
    assert "180 days after the sign-in: no use prolongs that." in story.sentences[-2]


def test_what_happened_is_told_in_order_with_the_ordinary_refreshes_between(detent: Detent) -> None:
    first, second = chain(detent, "app", 2)
    detent.refreshed("app", first)  # its answer was lost
    detent.clock.advance(61)
    third = detent.refreshed("app", second, scope="read")["refresh_token"]
    detent.clock.advance(61)
    fourth = detent.refreshed("app", second)["refresh_token"]  # late: the third was never used
    for _ in range(3):
        detent.clock.advance(61)
        fourth = detent.refreshed("app", fourth, scope="read")["refresh_token"]
    detent.clock.advance(61)
    assert detent.refresh("app", first).status_code == 400
    told = [sentence.split("UTC  ")[-1] for sentence in explained(detent, fourth).sentences[3:-2]]
    assert [sentence.split(".")[0] for sentence in told] == [
        "The app signed in and got its first refresh token",
        "Then 1 ordinary refresh",
        "Refresh token 1 came a second time and was answered again with its successor (a lost answer, or two tabs at "
        "once)",
        "The app asked for less than it was granted: read",
        "Refresh token 2 came again late; its unused successor was replaced by number 4",
        "Then 3 ordinary refreshes",
        "Refresh token 1 had been used before and was presented again: one of the two holders is a thief, so the "
        "whole family ended",
    ]
    assert third != fourth
    assert detent.family(fourth, "app").refreshes == 6


def test_a_living_family_says_until_when_and_which_device_it_is_on(ada: SignedIn) -> None:
    opening, created, refreshes, standing, what_next = ada.told()
    assert opening.startswith(f"{ada.name} signed in to app with Firefox on Linux at 20")
    assert created.endswith("From 127.0.0.0/24.")
    assert refreshes.startswith("Then 1 ordinary refresh, the last at 20")
    assert standing.startswith("It lives with refresh token 2, last used at 20")
    assert what_next == f"To end it: detent family revoke {ada.key}."


def test_a_suspected_family_ends_at_the_next_sign_in_and_says_so(detent: Detent) -> None:
    first, *_, last = chain(detent, "cli", 3, seconds_between=61)
    key = detent.family(last, "cli").key.text
    assert detent.refresh("cli", first).status_code == 400
    assert explained(detent, key).sentences[-2].endswith("It is suspected: it ends at the next sign-in.")
    detent.sign_in("cli")
    story = explained(detent, key)
    assert end_of(story) == "suspected"
    assert "it was suspected and the person signed in to this app again" in story.sentences[-2]


def test_the_agent_that_is_known_of_a_session_is_named_in_words(standing: Detent) -> None:
    with ExitStack() as stack:
        ada = SignedIn(standing, stack)
        ada.press("end-app")
        assert any(sentence.endswith("From 127.0.0.0/24, with Firefox on Linux.") for sentence in ada.told())


# What may be pasted


@pytest.mark.parametrize("resource", [VAULT, "https://api.example/"])
def test_an_access_token_leads_to_its_family_even_when_it_has_expired(detent: Detent, resource: str) -> None:
    tokens = detent.sign_in("testclient")
    key = detent.family(tokens["refresh_token"]).key.text
    for word, passes in (("expires", 0), ("expired", 2 * 3600)):
        detent.clock.advance(passes)
        story = explained(detent, tokens["access_token"])
        assert story.family
        assert story.family.key.text == key
        assert f"This says that it is an access token that {word} at 20" in story.sentences[0]
        assert not any(tokens["access_token"][-20:] in sentence for sentence in story.sentences)


def test_a_clients_own_access_token_has_no_family(detent: Detent) -> None:
    token = detent.token("machine", grant_type="client_credentials", audience=VAULT).json()["access_token"]
    story = explained(detent, token)
    assert story.family is None
    assert "client_credentials" in story.sentences[1]


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": "app", "exp": 10**14},
        {"client_id": "app", "exp": -1},
        {"client_id": "app", "exp": "soon"},
        {"client_id": "app", "exp": 1.5},
        {"exp": 1_800_000_000},
        [],
    ],
)
def test_what_only_looks_like_an_access_token_is_refused_and_not_repeated(detent: Detent, claims: object) -> None:
    pasted = f"{segment({'alg': 'none'})}.{segment(claims)}.AAAA"
    with pytest.raises(InvalidRequest) as refused:
        explained(detent, pasted)
    assert pasted[:20] not in refused.value.description


def test_an_altered_opaque_token_and_an_id_token_are_refused_and_not_repeated(detent: Detent) -> None:
    tokens = detent.sign_in("app", scope="openid read")
    for pasted in ("dtat_" + "A" * 60, "dtat_", tokens["id_token"]):
        with pytest.raises(InvalidRequest) as refused:
            explained(detent, pasted)
        assert pasted[:20] not in refused.value.description or pasted == "dtat_"


def test_an_access_token_of_no_family_that_is_stored_says_so(detent: Detent) -> None:
    claims = {"client_id": "app", "exp": 1_800_000_000, "authorization_id": "A" * 24}
    with pytest.raises(NotFound):
        explained(detent, f"{segment({'alg': 'none'})}.{segment(claims)}.AAAA")
