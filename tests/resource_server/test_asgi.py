"""The guard before an API, over HTTP: mission A1, A2, A8, A11, A12, A17, E3; attack rows J5, X4, X5."""

import json
from collections.abc import Callable, MutableMapping
from typing import Any

import httpx
import pytest

from detent.resource_server import BearerGuard, Introspector, JwksCache, claims
from tests.resource_server.issuer import INTROSPECTION_URL, JWKS_URL, Issuer
from tests.resource_server.minting import CLAIMS, VERIFIER, ManualClock, jwks, minted

pytestmark = pytest.mark.quick

Message = MutableMapping[str, Any]


async def secret(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """The API behind the guard: tells who asks and how much of the body arrived."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = json.dumps({"sub": claims(scope).sub, "received": size}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


class Api:
    """A guarded API, its issuer, and a clock."""

    def __init__(self, *, opaque: bool = False, **options: Any) -> None:
        self.clock = ManualClock()
        self.issuer = Issuer()
        self.introspection = Issuer({**CLAIMS, "active": True})
        introspection = Introspector(
            INTROSPECTION_URL,
            client_id="api",
            client_secret="s3cret",
            verifier=VERIFIER,
            fetch=self.introspection,
            clock=self.clock,
        )
        self.guard = BearerGuard(
            secret,
            verifier=VERIFIER,
            jwks=JwksCache(JWKS_URL, fetch=self.issuer, clock=self.clock),
            introspection=introspection if opaque else None,
            clock=self.clock,
            **options,
        )

    async def request(self, method: str = "GET", url: str = "/secret", **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.guard)
        async with httpx.AsyncClient(transport=transport, base_url="https://api.example") as client:
            return await client.request(method, url, **options)

    async def bearing(self, token: str) -> httpx.Response:
        return await self.request(headers={"Authorization": f"Bearer {token}"})

    @property
    def asked(self) -> int:
        return len(self.issuer.requests) + len(self.introspection.requests)


def challenged(response: httpx.Response, status: int, code: str) -> str:
    """Check a refusal by RFC 6750 §3 and return its challenge."""
    challenge: str = response.headers["WWW-Authenticate"]
    body = response.json()
    assert (response.status_code, body["error"]) == (status, code)
    assert challenge.startswith(f'Bearer realm="api", error="{code}", error_description="')
    assert f'error_description="{body["error_description"]}"' in challenge
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "application/json"
    return challenge


async def test_mission_a8_a11_a_good_token_opens_the_api_and_names_its_subject() -> None:
    response = await Api(scopes_required=["read:secret"]).bearing(minted())
    assert (response.status_code, response.json()["sub"]) == (200, "alice")


async def test_mission_a1_verified_calls_ask_the_issuer_nothing_once_its_keys_are_here() -> None:
    api = Api()
    for alg in ["RS256", "ES256", "EdDSA"] * 10:
        assert (await api.bearing(minted(key=alg))).status_code == 200
    counters = api.guard.counters
    assert (counters.verified, counters.refused, counters.jwks_fetches, counters.introspections) == (
        30,
        0,
        1,
        0,
    )
    assert api.asked == 1


async def test_rfc6750_3_1_without_a_token_the_challenge_is_bare() -> None:
    api = Api()
    for headers in [
        {},
        {"Authorization": "Basic dGVzdDp0ZXN0"},
        {"Authorization": ""},
        {"Authorization": "DPoP x.y.z"},
    ]:
        response = await api.request(headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
        assert "error" not in response.json()
        assert response.headers["Cache-Control"] == "no-store"
    assert (api.guard.counters.refused, api.asked) == (4, 0)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
async def test_rfc9110_11_1_the_scheme_is_case_insensitive(scheme: str) -> None:
    response = await Api().request(headers={"authorization": f"{scheme} {minted()}"})
    assert response.status_code == 200


async def test_mission_a12_an_expired_token_is_invalid() -> None:
    api = Api()
    token = minted()
    assert (await api.bearing(token)).status_code == 200
    api.clock.now += 600
    assert "the token has expired" in challenged(await api.bearing(token), 401, "invalid_token")


async def test_mission_a5_a_changed_token_is_invalid() -> None:
    header, payload, _ = minted().split(".")
    for token in [
        f"{header}.{payload}.{minted({'sub': 'mallory'}).split('.')[2]}",
        f"{header}.{payload}.",
        "a.b.c",
    ]:
        challenged(await Api().bearing(token), 401, "invalid_token")


async def test_mission_a17_x4_an_id_token_or_logout_token_opens_nothing() -> None:
    api = Api()
    for typ in ["JWT", "logout+jwt", "dpop+jwt"]:
        challenged(await api.bearing(minted(header={"typ": typ})), 401, "invalid_token")
    challenged(await api.bearing(minted(without=("typ",))), 401, "invalid_token")


@pytest.mark.parametrize("opaque", [False, True])
async def test_mission_a2_e3_a_refresh_token_opens_nothing_and_nobody_is_asked(opaque: bool) -> None:
    api = Api(opaque=opaque)
    for token in ["dtrt_1.abc", "dtrt_", "dtrt_" + minted(), "dtrt_a.b.c"]:
        assert "it is a refresh token" in challenged(await api.bearing(token), 401, "invalid_token")
    assert api.asked == 0


async def test_mission_a3_an_opaque_token_is_asked_about_once_and_then_remembered() -> None:
    api = Api(opaque=True, scopes_required=["read:secret"])
    for _ in range(10):
        response = await api.bearing("dtat_1.opaque.handle")  # two dots do not make it a JWT
        assert (response.status_code, response.json()["sub"]) == (200, "alice")
    assert (api.guard.counters.introspections, api.guard.counters.jwks_fetches) == (1, 0)


async def test_an_opaque_token_is_refused_unasked_where_no_introspection_is_set_up() -> None:
    api = Api()
    for token in ["dtat_1.opaque.handle", "something", "a.b.c.d.e"]:
        challenged(await api.bearing(token), 401, "invalid_token")
    assert api.asked == 0


async def test_an_inactive_opaque_token_is_invalid() -> None:
    api = Api(opaque=True)
    api.introspection.document = {"active": False}
    challenged(await api.bearing("dtat_1"), 401, "invalid_token")


async def test_an_issuer_out_of_reach_means_503_and_never_entry() -> None:
    api = Api(opaque=True)
    api.issuer.document = api.introspection.document = None
    for token in [minted(), "dtat_1"]:
        response = await api.bearing(token)
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert response.headers["Retry-After"] == "1"
        assert "WWW-Authenticate" not in response.headers


async def test_j6_a_new_key_is_found_by_its_first_token() -> None:
    api = Api()
    assert (await api.bearing(minted())).status_code == 200
    api.issuer.document = jwks("RS256", "RS256-next")
    challenged(await api.bearing(minted(key="RS256-next")), 401, "invalid_token")
    api.clock.now += 10
    assert (await api.bearing(minted(key="RS256-next"))).status_code == 200
    assert api.guard.counters.jwks_fetches == 2


async def test_j5_invented_keys_and_pointers_cause_no_request_but_for_the_issuers_own_keys() -> None:
    api = Api()
    pointers = {"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "kid": "stranger"}
    for _ in range(50):
        challenged(await api.bearing(minted(header=pointers)), 401, "invalid_token")
    assert {url for url, _, _ in api.issuer.requests} == {JWKS_URL}
    assert api.guard.counters.jwks_fetches == 1


async def test_rfc6750_3_1_a_scope_that_is_missing_is_named() -> None:
    api = Api(scopes_required=["read:secret", "admin"])
    challenge = challenged(await api.bearing(minted()), 403, "insufficient_scope")
    assert challenge.endswith(', scope="admin read:secret"')
    challenged(await api.bearing(minted({"scope": "admins read:secret:all"})), 403, "insufficient_scope")
    assert (await api.bearing(minted({"scope": "x admin read:secret"}))).status_code == 200


@pytest.mark.parametrize("cnf", [{"jkt": "thumbprint"}, {"x5t#S256": "thumbprint"}, {}, None])
async def test_rfc9449_7_2_a_token_bound_to_a_key_is_no_bearer_token(cnf: Any) -> None:
    api = Api(opaque=True)
    challenged(await api.bearing(minted({"cnf": cnf})), 401, "invalid_token")
    api.introspection.document = {**CLAIMS, "active": True, "token_type": "DPoP", "cnf": cnf}
    challenged(await api.bearing("dtat_bound"), 401, "invalid_token")


@pytest.mark.parametrize("name", ["access_token", "access%5Ftoken", "%61ccess_token"])
@pytest.mark.parametrize("with_header", [True, False])
async def test_x5_rfc9700_4_3_2_a_token_in_the_query_is_refused(name: str, with_header: bool) -> None:
    headers = {"Authorization": f"Bearer {minted()}"} if with_header else {}
    for query in [f"{name}={minted()}", f"a=b&{name}=", name]:
        challenged(await Api().request(url=f"/secret?{query}", headers=headers), 400, "invalid_request")


@pytest.mark.parametrize("with_header", [True, False])
async def test_x5_rfc6750_2_a_token_in_a_form_is_refused(with_header: bool) -> None:
    headers = {"Authorization": f"Bearer {minted()}"} if with_header else {}
    for data in [{"access_token": minted()}, {"a": "x" * 60_000, "access_token": ""}]:
        challenged(await Api().request("POST", data=data, headers=headers), 400, "invalid_request")

    async def in_the_second_chunk() -> Any:
        yield b"a=b"
        yield b"&access_token=x"

    typed = {**headers, "Content-Type": "Application/X-WWW-Form-URLencoded; charset=utf-8"}
    challenged(await Api().request("POST", content=b"access_token=x", headers=typed), 400, "invalid_request")
    challenged(await Api().request("POST", content=in_the_second_chunk(), headers=typed), 400, "invalid_request")


async def test_x5_rfc6750_2_two_tokens_are_refused() -> None:
    token = minted()
    twice: list[list[tuple[str, str]]] = [
        [("Authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
        [("Authorization", f"Bearer {token}"), ("Authorization", "Basic dGVzdDp0ZXN0")],
        [("Authorization", f"Bearer {token}, Bearer {token}")],
        [("Authorization", f"Bearer {token} {token}")],
    ]
    for headers in twice:
        challenged(await Api().request(headers=headers), 400, "invalid_request")


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer =", "Bearer a b", 'Bearer "a.b.c"', "Bearer a\tb"])
async def test_rfc6750_2_1_what_is_no_token_is_a_bad_request(value: str) -> None:
    challenged(await Api().request(headers={"Authorization": value}), 400, "invalid_request")


async def test_a_header_that_is_not_even_ascii_is_a_bad_request() -> None:
    challenged(await Api().request(headers={b"Authorization": b"Bearer \xff\xfe"}), 400, "invalid_request")


async def test_a_huge_token_is_invalid_and_nobody_is_asked() -> None:
    api = Api(opaque=True)
    challenged(await api.bearing("a" * 1_000_000), 401, "invalid_token")
    assert api.asked == 0


@pytest.mark.parametrize("size", [0, 10, 65_536, 1_000_000])
async def test_the_whole_body_reaches_the_api_whatever_its_type(size: int) -> None:
    for content_type in ["application/x-www-form-urlencoded", "application/json"]:

        async def chunks() -> Any:
            for start in range(0, size, 10_000):
                yield b"a" * min(10_000, size - start)

        headers = {"Authorization": f"Bearer {minted()}", "Content-Type": content_type}
        response = await Api().request("POST", headers=headers, content=chunks())
        assert (response.status_code, response.json()["received"]) == (200, size)


async def test_a_form_without_end_is_not_collected() -> None:
    received = 0

    async def endless() -> Message:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": b"a" * 1_024, "more_body": True}

    async def send(message: Message) -> None:
        assert message.get("status") in (401, None)

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    await Api().guard({"type": "http", "headers": headers}, endless, send)
    assert received == 65


async def test_no_answer_shows_any_part_of_the_token() -> None:
    for token in [
        "c4nary",
        "c4nary.c4nary.c4nary",
        minted({"sub": "c4nary", "iss": "c4nary"}, header={"kid": "c4nary"}),
    ]:
        response = await Api().bearing(token)
        assert response.status_code == 401
        assert token not in response.text + str(response.headers)
        assert "c4nary" not in response.text + str(response.headers)


async def drive(guard: BearerGuard, scope: dict[str, Any]) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{scope['type']}.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await guard(scope, receive, send)
    return sent


async def test_a_websocket_is_guarded_like_everything_else() -> None:
    guard = Api().guard
    scope: dict[str, Any] = {"type": "websocket", "path": "/", "query_string": b"", "headers": []}
    assert await drive(guard, scope) == [{"type": "websocket.close", "code": 1008}]
    start, body = await drive(guard, {**scope, "extensions": {"websocket.http.response": {}}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"www-authenticate", b'Bearer realm="api"') in start["headers"]
    assert body["type"] == "websocket.http.response.body"
    admitted = await drive(guard, {**scope, "headers": [(b"authorization", b"Bearer " + minted().encode())]})
    assert json.loads(admitted[1]["body"])["sub"] == "alice"


async def test_only_lifespan_passes_unguarded() -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    issuer = Issuer()
    guard = BearerGuard(app, verifier=VERIFIER, jwks=JwksCache(JWKS_URL, fetch=issuer))
    await drive(guard, {"type": "lifespan"})
    await drive(guard, {"type": "http", "headers": []})
    await drive(guard, {"type": "something.new", "headers": []})
    assert seen == ["lifespan"]


async def test_claims_from_outside_are_overwritten_and_the_callers_scope_is_left_alone() -> None:
    guard = Api().guard
    scope: dict[str, Any] = {"type": "http", "headers": [(b"AUTHORIZATION", b"Bearer " + minted().encode())]}
    sent = await drive(guard, {**scope, "detent.claims": "forged"})
    assert json.loads(sent[1]["body"])["sub"] == "alice"
    await drive(guard, scope)
    assert "detent.claims" not in scope
    with pytest.raises(KeyError):
        claims(scope)


@pytest.mark.parametrize("options", [{"realm": 'a"b'}, {"realm": ""}, {"scopes_required": "read"}])
def test_rfc6750_3_a_guard_that_could_not_speak_cannot_be_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"realm|scopes_required"):
        Api(**options)
    with pytest.raises(ValueError, match="scopes_required"):
        Api(scopes_required=["a b"])
