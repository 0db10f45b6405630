"""What people read instead of codes."""

import pytest

from detent.core.api import Api
from detent.core.consent import IDENTITY, Consent, Leave
from detent.core.errors import Forged, InvalidScope, NotFound, OAuthError, PayloadTooLarge
from detent.core.events import Event
from detent.core.ids import ClientId, Instant, Subject
from detent.core.policy import DAY, HOUR, MINUTE
from detent.core.scope import IDENTITY_SCOPES
from detent.pages import words
from detent.pages.app_card import card_of
from detent.testing.factories import a_client
from tests.serving import START

pytestmark = pytest.mark.quick

MAIL = Api("https://mail.example/", START, "Mail", {"read": "Read your mail", "send": "", "wipe": "Delete your mail"})


def given(leave: Leave) -> Consent:
    return Consent(Subject("ada"), ClientId("app"), leave, START)


def test_every_identity_scope_has_a_sentence() -> None:
    assert set(words.SCOPES) == set(IDENTITY_SCOPES)


def test_scopes_of_an_api_are_its_own_sentences_and_a_scope_without_one_is_its_name() -> None:
    asked = {IDENTITY: ("openid",), MAIL.identifier: ("read", "send"), "https://gone.example/": ("odd",)}
    assert words.asked_for(asked, [MAIL]) == (
        words.Asked("", ("Know who you are",)),
        words.Asked("Mail", ("Read your mail", "send")),
        words.Asked("https://gone.example/", ("odd",)),
    )


def test_an_api_without_a_scope_is_asked_for_all_the_same() -> None:
    assert words.asked_for({IDENTITY: (), MAIL.identifier: ()}, [MAIL]) == (
        words.Asked("Mail", ("Use it in your name",)),
    )


@pytest.mark.parametrize(
    ("before", "fresh", "known"),
    [
        (None, {"": ("openid", "email"), "m": ("read",), "n": ()}, {}),
        ({"": ("openid", "email"), "m": ("read",), "n": ()}, {}, {"": ("openid", "email"), "m": ("read",), "n": ()}),
        ({"": ("openid",), "m": ()}, {"": ("email",), "m": ("read",), "n": ()}, {"": ("openid",)}),
        (
            {"": ("openid", "email", "phone"), "m": ("read", "wipe")}, {"n": ()},
            {"": ("openid", "email"), "m": ("read",)},
        ),
    ],
)  # fmt: skip
def test_what_is_new_in_a_consent_stands_apart_from_what_was_allowed(
    before: Leave | None, fresh: Leave, known: Leave
) -> None:
    asked: Leave = {"": ("openid", "email"), "m": ("read",), "n": ()}
    assert words.split(asked, given(before) if before is not None else None) == (fresh, known)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (0, "just now"), (59, "just now"), (MINUTE, "1 minute ago"), (HOUR - 1, "59 minutes ago"), (HOUR, "1 hour ago"),
        (2 * HOUR, "2 hours ago"), (DAY, "1 day ago"), (30 * DAY - 1, "29 days ago"), (30 * DAY, "on 3 May 2026"),
        (-5, "just now"),
    ],
)  # fmt: skip
def test_times_are_told_as_a_person_would(ago: int, text: str) -> None:
    then = Instant(1_777_800_000)
    assert words.date(then, Instant(then + ago)) == text
    assert words.exactly(then) == "3 May 2026, 09:20 UTC"
    assert words.machine_date(then) == "2026-05-03T09:20:00Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (121, "3 minutes"), (HOUR, "60 minutes")],
)
def test_a_wait_is_never_told_shorter_than_it_is(seconds: int, text: str) -> None:
    assert words.waiting(seconds) == text


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("203.0.113.0/24", "203.0.113.x"), ("10.20.0.0/24", "10.20.0.x"), ("2001:db8:1::/48", "2001:db8:1::…"),
        ("127.0.0.0/24", "this computer"), ("::/48", "this computer"), ("", ""),
    ],
)  # fmt: skip
def test_a_network_is_told_as_far_as_it_is_kept(network: str, text: str) -> None:
    assert words.whence(network) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Meadow Notes", "Meadow Notes"), ("  two\n lines\t", "two lines"), ("a\u00a0b", "a b"),
        ("Ελλάδα 🌿", "Ελλάδα 🌿"), ("\u202egnp.exe\u2066", "gnp.exe"), ("zero\u200bwidth\ufeff", "zerowidth"),
        ("\u200b\u202e", ""), ("\0x\x07", "x"), ("x" * 121, "x" * 119 + "…"), ("x" * 120, "x" * 120),
    ],
)  # fmt: skip
def test_a_name_keeps_to_its_line_and_shows_all_that_it_is(name: str, shown: str) -> None:
    assert words.plain(name) == shown


@pytest.mark.parametrize(("name", "initial"), [("meadow", "M"), ("“Quoted”", "Q"), ("…", "•"), ("\u202e7up", "7")])
def test_an_app_without_a_logo_has_its_first_letter(name: str, initial: str) -> None:
    assert card_of(a_client(client_name=name)).initial == initial


def test_an_app_whose_name_shows_nothing_is_called_by_its_id() -> None:
    client = a_client(client_name="\u200b")
    assert card_of(client).name == client.client_id


def test_trouble_is_told_with_and_without_its_place() -> None:
    known = Event("reuse_detected", START, network="203.0.113.0/24")
    assert "presented again from 203.0.113.x, as a thief" in words.trouble(known)
    for name in words.TROUBLE:
        assert "{" not in words.trouble(Event(name, START))


@pytest.mark.parametrize(
    "error", [NotFound("x"), Forged("x"), PayloadTooLarge("x"), InvalidScope("x"), OAuthError("x")]
)
def test_every_error_has_a_title_and_a_next_step(error: OAuthError) -> None:
    assert words.title_for(error)
    assert words.next_for(error).endswith(".")
