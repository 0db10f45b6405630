"""Attacks on authorization codes and PKCE (rows C1, C2, C3, C4, C6, C9, C10), over HTTP.

The codes are sealed as the authorization endpoint seals them; that endpoint's own rows (C5, C7, C8, C13) come with it.
"""

import base64
import hashlib
from collections import Counter
from typing import Any

import pytest

from detent.core.ids import ClientId, FamilyKey
from detent.tokens.handle import ACCESS_PREFIX, CODE_PREFIX, REFRESH_PREFIX
from tests.attacks.outcomes import (
    Race,
    asking,
    assert_killed,
    assert_refused,
    assert_unharmed,
    audited,
    noticed,
    ongoing,
    race,
)
from tests.serving import API, REDIRECT_URI, VAULT, VERIFIER, Detent

detent = ongoing
__all__ = ["race"]


@pytest.mark.quick
@pytest.mark.parametrize("seconds_later", [0, 59, 61, 300])
@pytest.mark.parametrize("client", ["app", "spa", "other"])
def test_attack_c1_rfc6749_4_1_2_a_replayed_code_ends_everything_that_it_issued(
    detent: Detent, client: str, seconds_later: int
) -> None:
    code = detent.code(client, resource=(VAULT,))
    first = detent.redeem(client, code).json()
    second = detent.refreshed(client, first["refresh_token"])
    family = detent.family(first["refresh_token"], client)
    detent.clock.advance(seconds_later)

    replay = detent.redeem(client, code)

    assert_refused(replay)
    assert_killed(detent, client, [first, second])
    told = audited(detent, family.key.text, "code_replayed")
    assert [event.support_id for event in told] == [replay.json()["support_id"]]
    assert noticed(detent, "code_replayed") == told
    assert_refused(detent.redeem(client, code))
    assert len(noticed(detent, "code_replayed")) == 1, "what is dead is not killed again"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("thief", "form"),
    [
        ("other", {}),
        ("spa", {}),
        ("app", {"code_verifier": VERIFIER[::-1]}),
        ("app", {"code_verifier": None}),
        ("app", {"redirect_uri": f"{REDIRECT_URI}/"}),
    ],
)
def test_attack_c1_rfc9700_4_5_a_code_alone_is_no_switch_to_end_what_it_issued(
    detent: Detent, thief: str, form: dict[str, Any]
) -> None:
    code = detent.code("app", resource=(VAULT,))
    tokens = detent.redeem("app", code).json()

    assert_refused(detent.redeem(thief, code, **form))

    assert_unharmed(detent, "app", [tokens])
    assert noticed(detent, "code_replayed") == []


@pytest.mark.parametrize("client", ["app", "other"])
def test_attack_c2_rfc6749_10_5_of_64_redemptions_at_once_one_answers_and_leaves_nothing_behind(
    detent: Detent, race: Race, client: str
) -> None:
    """One node; three nodes come with a store that nodes share."""
    form = {"grant_type": "authorization_code", "code": detent.code(client, resource=(VAULT,))}
    form |= {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER}
    before = _families_of(detent, client)

    answers = race([asking(detent, "/oauth/token", client, **form) for _ in range(64)])

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 63}
    for answer in answers:
        if answer.status_code == 400:
            assert_refused(answer)
    [tokens] = [answer.json() for answer in answers if answer.status_code == 200]
    born = _families_of(detent, client) - before
    assert born == {detent.family(tokens["refresh_token"], client).key}, "no orphan"
    assert_killed(detent, client, [tokens])
    assert len(noticed(detent, "code_replayed")) == 1


def _families_of(detent: Detent, client: str) -> set[FamilyKey]:
    found = detent.thread.call(detent.house.outside.directory.families(client_id=ClientId(client), limit=10_000))
    return {family.key for family in found}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("client", "form"),
    [
        *((stranger, {}) for stranger in ("other", "web", "spa", "cli")),
        *(
            ("app", {"redirect_uri": uri})
            for uri in (
                None,
                "",
                f"{REDIRECT_URI}/",
                f"{REDIRECT_URI}?",
                f"{REDIRECT_URI}#",
                f" {REDIRECT_URI}",
                f"{REDIRECT_URI}\n",
                REDIRECT_URI.upper(),
                REDIRECT_URI.replace("7777", "7778"),
                REDIRECT_URI.replace("127.0.0.1", "localhost"),
                REDIRECT_URI.replace("callback", "%63allback"),
                "https://attacker.example/callback",
            )
        ),
    ],
)
def test_attack_c3_rfc6749_4_1_3_a_code_is_for_its_client_at_its_redirect_uri(
    detent: Detent, client: str, form: dict[str, Any]
) -> None:
    """The tenant half of C3 comes with tenants."""
    code = detent.code("app", resource=(VAULT,))

    assert_refused(detent.redeem(client, code, **form))

    right = detent.redeem("app", code)
    assert right.status_code == 200, "the refusal did not spend the code"
    assert_unharmed(detent, "app", [right.json()])


@pytest.mark.quick
def test_attack_c3_rfc6749_4_1_3_a_redirect_uri_that_was_never_named_is_not_made_up_later(detent: Detent) -> None:
    code = detent.code("app", redirect_uri=None)
    assert_refused(detent.redeem("app", code, redirect_uri=REDIRECT_URI))
    assert detent.redeem("app", code, redirect_uri=None).status_code == 200


@pytest.mark.quick
@pytest.mark.parametrize("age", [60, 61, 3600, 10 * 365 * 86400])
def test_attack_c4_fapi2_5_3_2_1_11_a_code_is_dead_after_sixty_seconds(detent: Detent, age: int) -> None:
    """A clock that steps back (F7) comes with the stored high-water mark of time."""
    code, before = detent.code("app"), _families_of(detent, "app")
    detent.clock.advance(age)
    assert_refused(detent.redeem("app", code))
    assert _families_of(detent, "app") == before


@pytest.mark.quick
def test_attack_c4_fapi2_5_3_2_1_11_a_code_is_good_in_its_last_second(detent: Detent) -> None:
    code = detent.code("app")
    detent.clock.advance(59)
    assert detent.redeem("app", code).status_code == 200


@pytest.mark.quick
@pytest.mark.parametrize("verifier", [None, "", " "])
@pytest.mark.parametrize("client", ["app", "other"])
def test_attack_c6_rfc7636_4_6_a_challenge_wants_its_verifier(
    detent: Detent, client: str, verifier: str | None
) -> None:
    code = detent.code(client)
    assert_refused(detent.redeem(client, code, code_verifier=verifier))
    assert_refused(_redeemed_by_json(detent, client, code, verifier))
    assert detent.redeem(client, code).status_code == 200, "the refusal did not spend the code"


def _redeemed_by_json(detent: Detent, client: str, code: str, verifier: str | None) -> Any:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "code_verifier": verifier}
    if client == "app":
        return detent.http.post("/oauth/token", json=form | {"client_id": client})
    return detent.http.post("/oauth/token", json=form, auth=(client, "secret"))


def challenge_of(verifier: str) -> str:
    """What an authorization request with this verifier would have sent, whether or not RFC 7636 allows it."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "verifier",
    [
        "v" * 42,
        "v" * 129,
        "v" * 5000,
        f"{'v' * 42}+",
        f"{'v' * 42}/",
        f"{'v' * 42}=",
        f"{'v' * 42} ",
        f"{'v' * 42}\n",
        f"{VERIFIER}\r\n",
        f"{'v' * 42}é",
        "ｖ" * 43,
        "🔑" * 43,
    ],
)
def test_attack_c9_rfc7636_4_1_a_verifier_is_43_to_128_unreserved_characters(detent: Detent, verifier: str) -> None:
    assert_refused(
        detent.redeem("app", detent.code("app", code_challenge=challenge_of(verifier)), code_verifier=verifier)
    )


@pytest.mark.parametrize("verifier", ["v" * 43, "v" * 128, "-._~" + "a" * 40])
def test_attack_c9_rfc7636_4_1_every_verifier_within_the_bounds_is_taken(detent: Detent, verifier: str) -> None:
    code = detent.code("app", code_challenge=challenge_of(verifier))
    assert detent.redeem("app", code, code_verifier=verifier).status_code == 200


def test_attack_c9_rfc7636_4_6_no_answer_says_how_near_a_wrong_verifier_was(detent: Detent) -> None:
    """Constant time: what is compared are SHA-256 digests, by hmac.compare_digest; so nothing but the answer remains
    that could tell a near guess, and it is the same for every wrong one."""
    code = detent.code("app")
    wrong = ["A" + VERIFIER[1:], VERIFIER[:-1] + "A", VERIFIER + "A", VERIFIER.upper(), VERIFIER[::-1]]
    told = set()
    for verifier in wrong:
        answer = detent.redeem("app", code, code_verifier=verifier)
        assert_refused(answer)
        told.add(answer.json()["error_description"].replace(answer.json()["support_id"], ""))
    assert len(told) == 1


@pytest.mark.quick
def test_attack_c10_rfc8725_3_12_no_kind_of_token_passes_for_another(detent: Detent) -> None:
    """The reset link of C10 comes with password resets."""
    tokens = detent.redeem("app", detent.code("app", scope="openid read", resource=(API,))).json()
    opaque = detent.redeem("app", detent.code("app", resource=(VAULT,))).json()["access_token"]
    code = detent.code("app")
    kinds = {
        "code": code,
        "refresh_token": tokens["refresh_token"],
        "jwt": tokens["access_token"],
        "opaque": opaque,
        "id_token": tokens["id_token"],
    }
    for kind, token in kinds.items():
        bare = token.partition("_")[2] if kind in ("code", "refresh_token", "opaque") else token
        for name, prefix in (("code", CODE_PREFIX), ("refresh_token", REFRESH_PREFIX), ("opaque", ACCESS_PREFIX)):
            if kind == name:
                continue
            for spelling in {token, prefix + bare}:
                _assert_refused_as(detent, name, spelling)

    assert detent.redeem("app", code).status_code == 200, "every kind still is what it is"
    assert detent.refresh("app", tokens["refresh_token"]).status_code == 200


def _assert_refused_as(detent: Detent, kind: str, token: str) -> None:
    if kind == "code":
        assert_refused(detent.redeem("app", token))
    elif kind == "refresh_token":
        assert_refused(detent.refresh("app", token))
    elif not token.startswith("ey"):  # a JWT where an opaque token is due is an access token still
        assert detent.introspect(token, "demo-api") == {"active": False}
        assert detent.secret(token, "/opaque/secret").status_code == 401


@pytest.mark.quick
def test_attack_c7_rfc9700_4_8_2_a_verifier_without_a_challenge_is_a_downgrade(detent: Detent) -> None:
    """As when somebody took the challenge out of the authorization request of a client that may do without."""
    code = detent.code("web", code_challenge=None)
    assert_refused(detent.redeem("web", code))
