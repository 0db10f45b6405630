"""What comes next in a sign-in, decided purely (OpenID Connect Core §3.1.2, RFC 8252 §8.6)."""

from typing import Any

import pytest
from msgspec.structs import replace

from detent.core.api import Api
from detent.core.authorization import Epochs
from detent.core.client import Client, matching_redirect_uri
from detent.core.consent import Consent, Leave, covers, leave_for, widened
from detent.core.ids import ClientId, Instant, Seconds, SessionKey, Subject
from detent.core.interaction import (
    AskConsent,
    AuthorizationRequest,
    Done,
    Interaction,
    SignIn,
    SignUp,
    Situation,
    Step,
    next_step,
    to_choose,
)
from detent.core.session import Session, SessionPolicy, new_life, why_session_over

pytestmark = pytest.mark.quick

NOW = Instant(1_790_000_000)
HTTPS = "https://app.example/callback"
ALICE = Session(
    SessionKey(7, bytes(16)), Subject("alice"), b"", NOW, NOW, ("pwd",), new_life(SessionPolicy(), NOW), Epochs()
)
APP = Client(ClientId("app"), "browser", NOW, redirect_uris=(HTTPS,))
ASKED: Leave = {"": ("openid",), "https://api.example/": ("read",)}
GIVEN = Consent(Subject("alice"), ClientId("app"), ASKED, NOW)


def asking(**change: Any) -> AuthorizationRequest:
    return replace(
        AuthorizationRequest(ClientId("app"), HTTPS, True, "query", ("openid", "read"), ("https://api.example/",)),
        **change,
    )


def next_of(
    request: AuthorizationRequest | None,
    session: Session | None = ALICE,
    consent: Consent | None = GIVEN,
    client: Client = APP,
    now: Instant = NOW,
    **done: str,
) -> Step:
    interaction = Interaction(bytes(16), NOW, b"", request, **done)
    return next_step(interaction, Situation(session, client, consent, ASKED, session.subject if session else ""), now)


def test_without_a_session_the_person_signs_in() -> None:
    assert next_of(asking(), session=None) == SignIn("signed_out")
    assert next_of(None, session=None) == SignIn("signed_out")


def test_a_session_and_a_remembered_consent_need_no_page() -> None:
    assert next_of(asking()) == Done(ALICE)


def test_a_person_without_an_app_is_done_once_signed_in() -> None:
    assert next_of(None) == Done(ALICE)


@pytest.mark.parametrize(
    ("prompt", "why"),
    [(("login",), "asked"), (("select_account",), "choose"), (("login", "consent"), "asked")],
)
def test_oidc_3_1_2_1_prompt_shows_the_sign_in_page_once(prompt: tuple[str, ...], why: Any) -> None:
    assert next_of(asking(prompt=prompt)) == SignIn(why)
    after = next_of(asking(prompt=prompt), signed_in=ALICE.sid, allowed=ALICE.sid)
    assert after == Done(ALICE)


@pytest.mark.parametrize("session", [None, ALICE])
def test_prompt_create_4_1_an_account_is_made_whoever_is_signed_in(session: Session | None) -> None:
    asked = asking(prompt=("create",), max_age=0)
    assert next_of(asked, session=session) == SignUp()
    assert next_of(asked, signed_in="another") == SignUp()
    assert next_of(asked, signed_in=ALICE.sid) == Done(ALICE)


def test_whoever_has_an_account_already_chooses_it_and_is_asked_what_else_is_wanted() -> None:
    chosen = to_choose(Interaction(bytes(16), NOW, b"", asking(prompt=("create",))))
    assert chosen.request
    assert next_of(chosen.request) == SignIn("choose")
    assert next_of(replace(chosen.request, max_age=Seconds(0))) == SignIn("too_long_ago")


def test_a_sign_in_by_another_session_does_not_satisfy_prompt_login() -> None:
    assert next_of(asking(prompt=("login",)), signed_in="another") == SignIn("asked")


def test_oidc_3_1_2_1_prompt_consent_asks_although_it_is_remembered() -> None:
    assert next_of(asking(prompt=("consent",))) == AskConsent(ALICE)
    assert next_of(asking(prompt=("consent",)), allowed=ALICE.sid) == Done(ALICE)


@pytest.mark.parametrize(("age", "max_age", "again"), [(10, 10, False), (11, 10, True), (0, 0, True), (5, None, False)])
def test_oidc_3_1_2_1_max_age_counts_from_the_last_sign_in(age: int, max_age: int | None, again: bool) -> None:
    request = asking(max_age=None if max_age is None else Seconds(max_age))
    now = Instant(NOW + age)
    assert next_of(request, now=now) == (SignIn("too_long_ago") if again else Done(ALICE))
    assert next_of(request, now=now, signed_in=ALICE.sid) == Done(ALICE)


def test_a_hint_for_another_person_is_not_answered_by_this_one() -> None:
    assert next_of(asking(hinted_sub="bob"), signed_in=ALICE.sid) == SignIn("other_person")
    assert next_of(asking(hinted_sub="alice")) == Done(ALICE)


def test_oidc_5_5_1_1_a_session_that_did_not_reach_the_wanted_class_is_not_enough() -> None:
    """A session from before classes were told has none."""
    assert next_of(asking(acr=("strong",))) == SignIn("asked")
    assert next_of(asking(acr=("strong", "usual")), session=replace(ALICE, acr="usual")) == Done(
        replace(ALICE, acr="usual")
    )


def test_consent_is_asked_for_what_was_never_allowed() -> None:
    assert next_of(asking(), consent=None) == AskConsent(ALICE)
    narrower = replace(GIVEN, leave={"": ("openid",), "https://api.example/": ()})
    assert next_of(asking(), consent=narrower) == AskConsent(ALICE)


def test_leave_for_one_api_is_none_for_another() -> None:
    elsewhere = replace(GIVEN, leave={"": ("openid",), "https://other.example/": ("read",)})
    assert next_of(asking(), consent=elsewhere) == AskConsent(ALICE)


def test_a_yes_in_another_session_does_not_count() -> None:
    assert next_of(asking(), consent=None, allowed="another") == AskConsent(ALICE)


def test_a_first_party_app_is_not_asked_about() -> None:
    own = replace(APP, first_party=True)
    assert next_of(asking(), consent=None, client=own) == Done(ALICE)
    assert next_of(asking(prompt=("consent",)), consent=None, client=own) == AskConsent(ALICE)


@pytest.mark.parametrize("uri", ["com.example.app:/callback", "http://127.0.0.1:1234/callback"])
@pytest.mark.parametrize("first_party", [True, False])
def test_rfc8252_8_6_an_app_that_anybody_could_be_gets_nothing_without_a_page(uri: str, first_party: bool) -> None:
    native = replace(APP, kind="native", redirect_uris=(uri,), first_party=first_party)
    assert next_of(asking(redirect_uri=uri), client=native) == AskConsent(ALICE)
    assert next_of(asking(redirect_uri=uri), client=native, signed_in=ALICE.sid) == Done(ALICE)
    assert next_of(asking(redirect_uri=HTTPS), client=native) == Done(ALICE)


def test_consent_grows_by_what_was_allowed_and_forgets_nothing() -> None:
    api = Api("https://other.example/", NOW, scopes={"write": "Write"})
    more = leave_for((api,), ("openid", "email", "write"))
    assert more == {"": ("openid", "email"), "https://other.example/": ("write",)}
    after = widened(GIVEN, GIVEN.subject, GIVEN.client_id, more, NOW)
    assert covers(after, ASKED)
    assert covers(after, more)
    assert after.version == 2
    assert not covers(GIVEN, more)
    assert widened(None, GIVEN.subject, GIVEN.client_id, more, NOW).version == 1


LOOPBACK = replace(APP, kind="native", redirect_uris=("http://127.0.0.1/cb", "http://[::1]:99/cb?x=1"))


@pytest.mark.parametrize(
    ("uri", "matches"),
    [
        ("http://127.0.0.1/cb", True),
        ("http://127.0.0.1:1/cb", True),
        ("http://127.0.0.1:65535/cb", True),
        ("http://[::1]:5/cb?x=1", True),
        ("http://[::1]/cb?x=1", True),
        ("http://[::1]:5/cb", False),
        ("http://localhost:5/cb", False),
        ("http://127.0.0.1:5/cb/", False),
        ("http://127.0.0.1:5/cb?x=1", False),
        ("http://127.0.0.1:05/cb", False),
        ("http://127.0.0.1:/cb", False),
        ("http://127.0.0.1:123456/cb", False),
        ("http://user@127.0.0.1:5/cb", False),
        ("http://127.0.0.1:5@evil.example/cb", False),
        ("http://127.0.0.1.evil.example:5/cb", False),
        ("https://127.0.0.1:5/cb", False),
        ("http://[::ffff:127.0.0.1]:5/cb", False),
        ("http://127.0.0.1:5/cb#x", False),
        ("http://127.0.0.1:5/cb\n", False),
        ("HTTP://127.0.0.1:5/cb", False),
    ],
)
def test_rfc8252_7_3_only_the_port_of_a_loopback_address_may_vary(uri: str, matches: bool) -> None:
    assert matching_redirect_uri(LOOPBACK, uri) is matches
    assert matching_redirect_uri(replace(LOOPBACK, kind="web"), uri) is (uri in LOOPBACK.redirect_uris)


def test_a_session_slides_with_use_until_its_absolute_end() -> None:
    policy = SessionPolicy(idle=Seconds(240), absolute=Seconds(400))
    life = new_life(policy, NOW)
    assert life.slid(policy, Instant(NOW + 9)) is None  # not worth a write
    later = life.slid(policy, Instant(NOW + 10))
    assert later is not None
    assert later.idle_until == NOW + 250
    last = later.slid(policy, Instant(NOW + 300))
    assert last is not None
    assert last.idle_until == last.absolute_until == NOW + 400
    assert [life.over(Instant(NOW + t)) for t in (239, 240, 400)] == [None, "idle", "absolute"]
    assert replace(life, ended_by="logout").over(NOW) == "ended"


def test_a_raised_cut_off_ends_a_session() -> None:
    assert why_session_over(ALICE, Epochs(), NOW) is None
    assert why_session_over(ALICE, Epochs(user=1), NOW) == "cut_off"
    assert why_session_over(ALICE, Epochs(server=1), NOW) == "cut_off"
