"""Attack rows V1-V7 and RFC 8628 itself: a device signs in through a browser somewhere else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from detent.core.changes import InsertClient, ReplaceClient, ReplaceUser
from detent.features.device import GRANT_TYPE
from detent.keys.file import FileKeys
from tests.attacks.outcomes import assert_refused
from tests.browsing import Browser, Page
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, Detent, client, running

TV, OTHER_TV = "tv", "other-tv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path) -> Iterator[Detent]:
    with running(tmp_path_factory.mktemp("home"), keys_folder) as detent:
        grants = (GRANT_TYPE, "refresh_token")
        for name in (TV, OTHER_TV):
            known: Any = {"client_name": "Living room", "redirect_uris": (), "grant_types": grants}
            detent.apply(InsertClient(client(name, "cli", FileKeys.open(keys_folder, detent.clock), **known)))
        yield detent


@pytest.fixture
def phone(home: Detent) -> Iterator[Browser]:
    with Browser(home) as browser:
        yield browser


def begun(detent: Detent, name: str = TV, **form: Any) -> dict[str, Any]:
    answer = detent.post("/oauth/device/code", name, headers={"user-agent": "curl/8.5.0"}, **{"scope": "read", **form})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def polled(detent: Detent, asked: dict[str, Any], name: str = TV, **form: Any) -> httpx.Response:
    """Asks for the tokens, having waited as long as it was told to."""
    detent.clock.advance(asked["interval"])
    return detent.token(name, grant_type=GRANT_TYPE, device_code=asked["device_code"], **form)


def typed(phone: Browser, asked: dict[str, Any], username: str = "test") -> Page:
    """What a person sees who has typed the code."""
    page = phone.open("/device")
    if page.path == "/login":
        page = phone.log_in(page, username, phone.detent.password_of(username))
    return phone.press(page, "device-continue", user_code=asked["user_code"])


def allowed(phone: Browser, asked: dict[str, Any]) -> Page:
    return phone.press(typed(phone, asked), "device-confirm")


def redeemed(detent: Detent, phone: Browser) -> tuple[dict[str, Any], dict[str, Any]]:
    asked = begun(detent)
    assert "device-done" in allowed(phone, asked).texts
    answer = polled(detent, asked)
    assert answer.status_code == 200, answer.text
    return asked, answer.json()


# As it is meant


@pytest.mark.quick
def test_rfc8628_3_2_a_device_is_told_what_to_show_and_how_often_to_ask(home: Detent) -> None:
    asked = begun(home)
    assert set(asked) == {
        "device_code", "user_code", "verification_uri", "verification_uri_complete", "expires_in", "interval",
    }  # fmt: skip
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", asked["user_code"])
    assert asked["verification_uri"] == home.issuer + "device"
    assert (asked["expires_in"], asked["interval"]) == (600, 5)
    published = home.http.get("/.well-known/openid-configuration").json()
    assert published["device_authorization_endpoint"] == home.issuer + "oauth/device/code"
    assert GRANT_TYPE in published["grant_types_supported"]


@pytest.mark.quick
def test_rfc8628_3_4_once_its_person_said_yes_the_device_gets_its_tokens(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    assert_refused(polled(home, asked), "authorization_pending")
    page = allowed(phone, asked)
    assert page.texts["device-done"] == "Your device is signed in"
    tokens = polled(home, asked).json()
    assert home.secret(tokens["access_token"]).status_code == 200
    assert home.refreshed(TV, tokens["refresh_token"])["access_token"]
    told = claims_of(tokens["access_token"])
    assert (told["sub"], told["scope"], told["aud"]) == (home.user("test").subject, "read", [API])


def test_rfc8628_3_3_the_code_may_be_typed_in_any_way(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    spelt = asked["user_code"].replace("-", " ").lower() + " "
    assert "user-code" in typed(phone, {**asked, "user_code": spelt}).texts


def test_rfc8628_3_3_1_the_whole_address_fills_in_the_code_after_the_sign_in_and_allows_nothing(
    home: Detent, phone: Browser
) -> None:
    """Attack V4, V5: always a second click."""
    asked = begun(home)
    page = phone.log_in(phone.open(asked["verification_uri_complete"]))
    assert page.path == "/device"
    assert page.forms[0]["fields"]["user_code"] == asked["user_code"]
    assert_refused(polled(home, asked), "authorization_pending")
    page = phone.press(page, "device-continue")
    assert_refused(polled(home, asked), "authorization_pending")
    phone.press(page, "device-confirm")
    assert polled(home, asked).status_code == 200


def test_its_family_outlives_the_browsers_session_and_can_be_ended_from_the_account_page(
    home: Detent, phone: Browser
) -> None:
    _, tokens = redeemed(home, phone)
    phone.press(phone.open("/logout"), "logout-confirm")
    assert home.refresh(TV, tokens["refresh_token"]).status_code == 200
    phone.log_in(phone.open("/account"))
    assert "Living room" in phone.open("/account").texts["elsewhere"]


def test_attack_x8_rfc8628_3_1_only_a_client_with_the_grant_may_begin_and_only_with_its_own_scopes(
    home: Detent,
) -> None:
    begin = "/oauth/device/code"
    assert_refused(home.post(begin, "cli", scope="read"), "unauthorized_client")
    assert_refused(home.post(begin, None, client_id="nobody"), "invalid_client", 401)
    assert_refused(home.post(begin, TV, scope="nonsense"), "invalid_scope")
    assert_refused(home.post(begin, TV, resource="https://unknown.example/"), "invalid_target")
    assert_refused(home.token(TV, grant_type=GRANT_TYPE), "invalid_request")


# Attacks


def test_attack_v1_rfc8628_5_1_guesses_are_counted_and_the_right_code_is_refused_after_five(
    home: Detent, phone: Browser
) -> None:
    asked = begun(home)
    typed(phone, asked, "ada")
    for _ in range(5):
        page = typed(phone, {"user_code": "BBBB-BBBB"})
        assert (page.status, page.texts["message"][:9]) == (422, "No device")
    page = typed(phone, asked)
    assert page.status == 429
    assert int(page.response.headers["retry-after"]) > 0
    home.clock.advance(15 * 60)
    assert "user-code" in typed(phone, begun(home)).texts


def test_attack_v1_rfc8628_6_1_a_code_to_type_is_drawn_from_2_to_the_34(home: Detent) -> None:
    """Eight of twenty letters, each as likely as another."""
    codes = [begun(home)["user_code"].replace("-", "") for _ in range(60)]
    assert {len(code) for code in codes} == {8}
    assert set("".join(codes)) == set("BCDFGHJKLMNPQRSTVWXZ"), "20^8 is more than 2^34"
    assert len(set(codes)) == len(codes)


def test_attack_v2_rfc8628_3_5_who_asks_too_fast_is_told_so_and_waits_longer_each_time(
    home: Detent, phone: Browser
) -> None:
    asked = begun(home)
    ask = {"grant_type": GRANT_TYPE, "device_code": asked["device_code"]}
    assert_refused(home.token(TV, **ask), "authorization_pending")
    assert_refused(home.token(TV, **ask), "slow_down")
    assert_refused(polled(home, asked), "slow_down")
    home.clock.advance(15)
    assert_refused(home.token(TV, **ask), "authorization_pending")
    allowed(phone, asked)
    home.clock.advance(15)
    assert home.token(TV, **ask).status_code == 200


def test_attack_v2_rfc8628_3_5_expired_and_denied_are_told_with_400(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    page = phone.press(typed(phone, asked), "cancel")
    assert page.texts["device-done"] == "Nothing was allowed"
    assert_refused(polled(home, asked), "access_denied")
    late = begun(home)
    home.clock.advance(late["expires_in"])
    assert_refused(polled(home, late), "expired_token")
    assert typed(phone, late).status == 422


@pytest.mark.quick
def test_attack_v3_rfc8628_3_4_of_many_redemptions_one_succeeds(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    allowed(phone, asked)
    home.clock.advance(5)
    ask = {"grant_type": GRANT_TYPE, "device_code": asked["device_code"]}
    answers = home.at_once(16, lambda _: home.token(TV, **ask))
    assert [answer.status_code for answer in answers].count(200) <= 1
    home.clock.advance(600 - 6)
    again = home.token(TV, **ask)
    assert again.json()["error"] in ("invalid_grant", "slow_down")


@pytest.mark.quick
def test_attack_v3_a_second_redemption_ends_what_the_first_one_began(home: Detent, phone: Browser) -> None:
    asked, tokens = redeemed(home, phone)
    assert_refused(polled(home, asked))
    assert_refused(home.refresh(TV, tokens["refresh_token"]))
    assert home.introspect(tokens["access_token"]) == {"active": False}


@pytest.mark.quick
def test_attack_v3_another_client_gets_nothing_for_it(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    allowed(phone, asked)
    assert_refused(polled(home, asked, OTHER_TV))
    assert_refused(home.token(TV, grant_type=GRANT_TYPE, device_code=asked["device_code"] + "A"))
    assert_refused(home.token(TV, grant_type=GRANT_TYPE, device_code=asked["user_code"]))
    assert polled(home, asked).status_code == 200


@pytest.mark.quick
def test_attack_v4_only_the_session_that_was_shown_the_device_can_allow_it(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    page = typed(phone, asked)
    shown = page.forms[0]["fields"]["shown"]
    with Browser(home) as elsewhere:
        foreign = elsewhere.log_in(elsewhere.open("/device"), "ada", "lovelace")
        stolen = elsewhere.press(
            foreign, "device-continue", **{"device-continue": None, "device-confirm": "yes"}, shown=shown
        )
        assert stolen.error == "invalid_request"
    phone.press(phone.open("/logout"), "logout-confirm")
    phone.log_in(phone.open("/device"))
    assert phone.press(page, "device-confirm").error == "invalid_request", "signed in anew since"
    assert_refused(polled(home, asked), "authorization_pending")


@pytest.mark.quick
def test_attack_v4_a_form_of_another_site_allows_nothing(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    page = typed(phone, asked)
    fields = {**page.forms[0]["fields"], "device-confirm": "yes"}
    forged = phone.http.post("/device", data=fields, headers={"origin": "https://evil.example"})
    assert forged.status_code == 403
    assert_refused(polled(home, asked), "authorization_pending")


def test_attack_v5_the_page_names_the_app_the_scopes_and_the_place(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    page = typed(phone, asked)
    assert "Living room" in page.text
    assert "Read" in page.texts["asked"]
    assert "curl" in page.texts["device"]
    assert "this computer" in page.texts["device"]
    assert asked["user_code"] == page.texts["user-code"]


@pytest.mark.parametrize(
    "gate", ["a disabled person", "a password set anew", "a withdrawn consent", "a client cut off"]
)
def test_attack_v6_what_was_cut_off_between_yes_and_redemption_gets_nothing(
    home: Detent, phone: Browser, gate: str
) -> None:
    asked = begun(home)
    allowed(phone, asked)
    person, registered = home.user("test"), home.thread.call(home.store.client(TV))
    if gate == "a disabled person":
        home.apply(ReplaceUser(replace(person, enabled=False, version=person.version + 1)))
    elif gate == "a password set anew":
        home.apply(ReplaceUser(replace(person, epoch=person.epoch + 1, version=person.version + 1)))
    elif gate == "a client cut off":
        home.apply(ReplaceClient(replace(registered, epoch=registered.epoch + 1, version=registered.version + 1)))
    else:
        home.thread.call(home.house.consents.withdraw(person.subject, registered.client_id, home.clock.now()))
    assert_refused(polled(home, asked))
    person = home.user("test")
    home.apply(ReplaceUser(replace(person, enabled=True, version=person.version + 1)))


def test_attack_v7_what_was_answered_cannot_be_answered_again_by_anybody(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    page = typed(phone, asked)
    with Browser(home) as elsewhere:
        theirs = typed(elsewhere, asked, "ada")
        phone.press(page, "device-confirm")
        assert elsewhere.press(theirs, "device-confirm").error == "invalid_request"
        assert typed(elsewhere, asked).status == 422
    assert phone.press(page, "cancel").error == "invalid_request"
    tokens = polled(home, asked).json()
    assert claims_of(tokens["access_token"])["sub"] == home.user("test").subject


def test_attack_l2_neither_code_stands_in_the_database(home: Detent, phone: Browser) -> None:
    asked = begun(home)
    sealed = home.house.devices.opened(asked["device_code"])
    assert sealed is not None
    record = home.thread.call(home.store.record("device", sealed.key))
    assert asked["user_code"].replace("-", "").encode() not in record.value
    assert asked["device_code"].encode() not in record.value
    assert asked["user_code"].replace("-", "") not in sealed.key
