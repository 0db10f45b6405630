"""Which browser origins may read what (wire rule 11; Fetch §3.2): each client its own, public documents everybody."""

from collections.abc import Callable

import httpx
import pytest

from tests.attacks.outcomes import assert_refused
from tests.serving import API, ORIGIN, Detent

FOR_CLIENTS = ("/oauth/token", "/oauth/revoke", "/userinfo")
FOR_EVERYBODY = (
    "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json",
)  # fmt: skip
OTHERS = [
    "null", "*", "http://evil.example", "https://127.0.0.1:7777", "http://127.0.0.1", "http://127.0.0.1:77777",
    "http://127.0.0.1:7777/", "http://127.0.0.1:7777.evil.example", "http://127.0.0.1:777", "http://localhost:7777",
    "HTTP://127.0.0.1:7777", "http://127.0.0.1:7777, http://evil.example", "http://evil.example#http://127.0.0.1:7777",
    "http://[::1]:7777", "127.0.0.1:7777", "http://user@127.0.0.1:7777", "file://",
]  # fmt: skip

Ask = Callable[[Detent, dict[str, str]], httpx.Response]


def token(detent: Detent, headers: dict[str, str], **form: str) -> httpx.Response:
    return detent.post("/oauth/token", "spa", headers=headers, **form)


def refreshed(detent: Detent, headers: dict[str, str], **form: str) -> httpx.Response:
    mine = detent.sign_in("spa", scope="openid read")
    return token(detent, headers, grant_type="refresh_token", refresh_token=mine["refresh_token"], **form)


def redeemed(detent: Detent, headers: dict[str, str]) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": detent.code("spa"), "redirect_uri": f"{ORIGIN}/callback"}
    verifier = "a-code-verifier-of-at-least-forty-three-characters"
    return token(detent, headers, **form, code_verifier=verifier)


def revoked(detent: Detent, headers: dict[str, str], token: str = "unknown") -> httpx.Response:
    return detent.post("/oauth/revoke", "spa", headers=headers, token=token)


def told(detent: Detent, headers: dict[str, str], scope: str = "openid read") -> httpx.Response:
    bearer = f"Bearer {detent.sign_in('spa', scope=scope, resource=(API,))['access_token']}"
    return detent.http.get("/userinfo", headers={**headers, "Authorization": bearer})


def told_of_a_dead_token(detent: Detent, headers: dict[str, str]) -> httpx.Response:
    token = detent.sign_in("spa", scope="openid read", resource=(API,))["access_token"]
    assert detent.revoke(token, "spa").status_code == 200
    return detent.http.get("/userinfo", headers={**headers, "Authorization": f"Bearer {token}"})


ANSWERS: dict[str, tuple[int, Ask]] = {
    "tokens by code": (200, redeemed),
    "tokens by refresh": (200, refreshed),
    "claims for a dead token": (401, told_of_a_dead_token),
    "a wrong refresh token": (400, lambda d, h: token(d, h, grant_type="refresh_token", refresh_token="dtrt_x")),
    "a wider scope": (400, lambda d, h: refreshed(d, h, scope="read admin")),
    "an unknown API": (400, lambda d, h: refreshed(d, h, resource="https://no.example/")),
    "an unknown grant type": (400, lambda d, h: token(d, h, grant_type="implicit")),
    "no grant type": (400, lambda d, h: token(d, h, scope="read")),
    "a grant type of others": (400, lambda d, h: token(d, h, grant_type="client_credentials")),
    "an unproved client": (401, lambda d, h: d.http.post("/oauth/token", headers=h, data={
        "grant_type": "refresh_token", "refresh_token": d.sign_in("spa")["refresh_token"], "client_id": "spa",
        "client_secret": "x"})),
    "revoked": (200, lambda d, h: revoked(d, h, d.sign_in("spa")["refresh_token"])),
    "nothing to revoke": (400, lambda d, h: d.post("/oauth/revoke", "spa", headers=h, x="y")),
    "claims of the person": (200, told),
    "a token without openid": (403, lambda d, h: told(d, h, "read")),
}  # fmt: skip


@pytest.mark.quick
@pytest.mark.parametrize("what", ANSWERS)
def test_a_registered_origin_reads_successes_and_errors(standing: Detent, what: str) -> None:
    status, ask = ANSWERS[what]
    answer = ask(standing, {"Origin": ORIGIN})

    assert answer.status_code == status, answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"www-authenticate", "dpop-nonce", "retry-after"} <= set(exposed)
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", OTHERS)
@pytest.mark.parametrize("what", ["tokens by refresh", "a wrong refresh token", "revoked", "claims of the person"])
def test_attack_k9_no_other_origin_reads_an_answer(standing: Detent, what: str, origin: str) -> None:
    answer = ANSWERS[what][1](standing, {"Origin": origin})
    assert answer.status_code == ANSWERS[what][0], "the request is answered, and cannot be read"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.quick
def test_one_clients_origin_is_not_anothers(standing: Detent) -> None:
    for client in ("app", "cli", "web", "testclient"):
        mine = standing.sign_in(client)
        headers = {"Origin": ORIGIN}
        form = {"grant_type": "refresh_token", "refresh_token": mine["refresh_token"]}
        renewed = standing.post("/oauth/token", client, headers=headers, **form)
        assert renewed.status_code == 200
        assert "access-control-allow-origin" not in renewed.headers
        assert (
            "access-control-allow-origin"
            not in standing.post("/oauth/revoke", client, headers=headers, token="x").headers
        )


def test_without_an_origin_nothing_is_said_of_origins(standing: Detent) -> None:
    for status, ask in ANSWERS.values():
        answer = ask(standing, {})
        assert answer.status_code == status
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_an_error_before_any_client_is_named_is_readable_by_nobody(standing: Detent) -> None:
    for body in (b"client_id=spa&client_id=spa", b"client_id=spa&x=%zz", b""):
        answer = standing.http.post(
            "/oauth/token",
            content=body,
            headers={"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.is_client_error
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", [ORIGIN, "null", "https://anything.example"])
@pytest.mark.parametrize("path", FOR_EVERYBODY)
def test_public_documents_are_for_everybody(standing: Detent, path: str, origin: str) -> None:
    for headers in ({"Origin": origin}, {}):
        answer = standing.http.get(path, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    preflight = standing.http.options(path, headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


WANTED = "authorization, content-type, dpop, auth0-client"


@pytest.mark.quick
@pytest.mark.parametrize("origin", [ORIGIN, "https://other.example", "null"])
@pytest.mark.parametrize("path", FOR_CLIENTS)
def test_a_preflight_lets_the_question_through_and_no_credentials(standing: Detent, path: str, origin: str) -> None:
    """It carries no client, so it cannot know whose origin this is: docs/decisions/0007."""
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": WANTED}
    answer = standing.http.options(path, headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == origin
    assert "POST" in answer.headers["access-control-allow-methods"].split(", ")
    assert set(WANTED.split(", ")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


def test_introspection_and_health_are_for_no_browser(standing: Detent) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for path in ("/oauth/introspect", "/health"):
        preflight = standing.http.options(path, headers=asked)
        assert not [name for name in preflight.headers if name.startswith("access-control-")]
    refused = standing.post("/oauth/introspect", "spa", headers={"Origin": ORIGIN}, token="x")
    assert_refused(refused, "invalid_client", 401)
    for answer in (refused, standing.http.get("/health", headers={"Origin": ORIGIN})):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
