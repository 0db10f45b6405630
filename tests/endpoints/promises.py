"""Each member of the metadata (RFC 8414 §2, OpenID Connect Discovery §3): what it promises is done, every value of it,
and what it does not promise is refused as specified. For members that are not there at all see refusals.py.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from detent.core.changes import InsertClient
from detent.core.client import AuthMethod
from detent.core.people import CLAIMS_OF_SCOPE
from detent.core.scope import IDENTITY_SCOPES
from detent.demo.cast import USERS
from detent.endpoints.metadata import WELL_KNOWN
from detent.resource_server import VerificationKeys
from tests import logging_out
from tests.asserting import Asserting
from tests.browsing import Browser, request_of
from tests.endpoints.encrypted_promises import drive_encryption, drive_request_object_encryption
from tests.endpoints.test_id_tokens import verified
from tests.mission.test_a_tokens import claims_of
from tests.proving import Holder
from tests.published import key, signed
from tests.serving import RETURN_URI, SECRET, VERIFIER, Detent, client

Document = dict[str, Any]


def document(detent: Detent) -> Document:
    published: Document = detent.http.get(WELL_KNOWN[1]).json()
    return published


def endpoints(published: Document) -> dict[str, str]:
    return {name: value for name, value in published.items() if name.endswith(("_endpoint", "_uri"))}


def scope_of(detent: Detent) -> str:
    """What an app asks for here."""
    return "openid profile email read" if "openid" in detent.house.profile.scopes else "read"


def refusal(detent: Detent, **parameters: Any) -> str:
    """The error of an authorization request that is right in everything else."""
    with Browser(detent) as browser:
        return browser.authorize(**({"scope": scope_of(detent)} | parameters)).answer["error"]


def drive_issuer(detent: Detent, value: Any) -> None:
    assert value == detent.issuer
    assert value.endswith("/")
    assert claims_of(detent.sign_in("app")["access_token"])["iss"] == value


def drive_endpoint(detent: Detent, value: Any) -> None:
    """It answers there, and not with "nothing here" or "not so"."""
    assert value.startswith(detent.issuer)
    path = urlsplit(value).path
    statuses = {detent.http.get(path).status_code, detent.http.post(path, data={"x": "y"}).status_code}
    assert 404 not in statuses
    assert statuses != {405}
    assert max(statuses) < 500


def drive_code(detent: Detent) -> None:
    with Browser(detent) as browser:
        assert browser.tokens(scope=scope_of(detent))["access_token"]


def drive_refresh(detent: Detent) -> None:
    detent.refreshed("app", detent.sign_in("app", scope="read offline_access")["refresh_token"])


def drive_client_credentials(detent: Detent) -> None:
    assert detent.token("machine", grant_type="client_credentials").status_code == 200


def drive_password(detent: Detent) -> None:
    assert detent.sign_in("testclient")["access_token"]


def drive_device(detent: Detent) -> None:
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client("tv", "native", keys, grant_types=(DEVICE, "refresh_token"))))
    begun = detent.post("/oauth/device/code", "tv", scope="read").json()
    waiting = detent.token("tv", grant_type=DEVICE, device_code=begun["device_code"])
    assert waiting.json()["error"] == "authorization_pending"


DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS: Final[Mapping[str, Callable[[Detent], None]]] = {
    "authorization_code": drive_code,
    "refresh_token": drive_refresh,
    "client_credentials": drive_client_credentials,
    "password": drive_password,
    DEVICE: drive_device,
}


def drive_grant_types(detent: Detent, value: Any) -> None:
    for name in value:
        if name in GRANTS:
            GRANTS[name](detent)
        assert detent.token("web", grant_type=name).json()["error"] != "unsupported_grant_type", name
    for name in {*GRANTS, "implicit"} - set(value):
        assert detent.token("web", grant_type=name).json()["error"] == "unsupported_grant_type", name


def authenticated_by(detent: Detent, method: str, path: str) -> int:
    """The status of a request that authenticates so and is right in everything else."""
    if method in ("client_secret_jwt", "private_key_jwt"):
        alg = "HS256" if method == "client_secret_jwt" else "ES256"
        return Asserting(detent, alg, method).post(path, grant_type="client_credentials", token="x").status_code
    public = method == "none"
    name = "app" if public else "web"
    mine = detent.sign_in(name, scope="read offline_access")
    form = {"grant_type": "refresh_token", "refresh_token": mine["refresh_token"], "token": mine["access_token"]}
    if method == "client_secret_basic":
        return detent.http.post(path, data=form, auth=(name, SECRET)).status_code
    secret = {"client_secret": SECRET} if method == "client_secret_post" else {}
    return detent.http.post(path, data={**form, "client_id": name, **secret}).status_code


def drive_methods_at(path: str) -> Callable[[Detent, Any], None]:
    def drive(detent: Detent, value: Any) -> None:
        assert value[0] == "client_secret_basic", "some clients take the first they know"
        assert set(value) | {"none"} == set(get_args(AuthMethod))
        for method in get_args(AuthMethod):
            assert (authenticated_by(detent, method, path) == 200) is (method in value), method

    return drive


def without_signature(token: str) -> str:
    """The same claims, with `alg` none (RFC 8725 §3.2)."""
    header = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def drive_assertion_algs_at(path: str) -> Callable[[Detent, Any], None]:
    def drive(detent: Detent, value: Any) -> None:
        for alg in value:
            signing = Asserting(detent, alg, "client_secret_jwt" if alg.startswith("HS") else "private_key_jwt")
            assert signing.post(path, grant_type="client_credentials", token="x").status_code == 200, alg
        signing = Asserting(detent)
        unsigned = without_signature(signing.assertion())
        refused = signing.post(path, unsigned, grant_type="client_credentials", token="x")
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")

    return drive


def drive_scopes(detent: Detent, value: Any) -> None:
    assert "offline_access" in value
    with Browser(detent) as browser:
        assert set(browser.tokens(scope=" ".join(value))["scope"].split()) == set(value)
    for name in {*IDENTITY_SCOPES, "unknown"} - set(value):
        assert refusal(detent, scope=name) == "invalid_scope"


def with_metadata(detent: Detent, member: str, value: Any) -> str:
    """A client that is registered like this."""
    name = f"{member}-{value}"
    keys: Any = detent.house.outside.keys
    detent.apply(InsertClient(client(name, "native", keys, extra={member: value})))
    return name


def drive_id_token_algs(detent: Detent, value: Any) -> None:
    assert value == ["RS256", "PS256", "ES256", "EdDSA"], "RS256 first, and never none"
    assert verified(detent, "web", detent.sign_in("web", scope="openid")["id_token"])["aud"] == "web"
    for alg in value:
        name = with_metadata(detent, "id_token_signed_response_alg", alg)
        assert verified(detent, name, detent.sign_in(name, scope="openid")["id_token"], alg)["aud"] == name


def drive_userinfo_algs(detent: Detent, value: Any) -> None:
    assert value == ["RS256", "PS256", "ES256", "EdDSA"]
    for alg in value:
        name = with_metadata(detent, "userinfo_signed_response_alg", alg)
        bearer = {"Authorization": f"Bearer {detent.sign_in(name, scope='openid')['access_token']}"}
        told = detent.http.get("/userinfo", headers=bearer)
        assert told.headers["content-type"] == "application/jwt"
        keys = VerificationKeys.from_jwks(detent.http.get("/.well-known/jwks.json").json())
        header, payload, _ = told.text.split(".")
        assert json.loads(urlsafe_b64decode(header + "=="))["alg"] == alg
        assert keys.select(alg, json.loads(urlsafe_b64decode(header + "=="))["kid"]).verifies(
            alg, f"{header}.{payload}".encode(), urlsafe_b64decode(told.text.split(".")[2] + "==")
        )
        assert json.loads(urlsafe_b64decode(payload + "=="))["aud"] == name


def drive_claims(detent: Detent, value: Any) -> None:
    """A person of whom everything is known, asked about with every scope."""
    names = {claim for claims in CLAIMS_OF_SCOPE.values() for claim in claims}
    person = detent.thread.call(detent.house.people.add("whole", "whole-password", USERS["test"]))
    with Browser(detent) as browser:
        page = browser.authorize(scope=" ".join(IDENTITY_SCOPES), prompt="login")
        answer = browser.allow(browser.log_in(page, "whole", "whole-password")).answer
    tokens = detent.redeem("spa", answer["code"]).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    told = claims_of(tokens["id_token"]) | detent.http.get("/userinfo", headers=bearer).json()
    assert set(value) <= told.keys()
    assert told["sub"] == person.subject
    assert names <= set(value)


def drive_subject_types(detent: Detent, value: Any) -> None:
    assert "public" in value
    public = detent.user("test").subject
    subjects = {claims_of(detent.sign_in(name)["access_token"])["sub"] for name in ("app", "web", "spa")}
    assert subjects == {public}, "one and the same at every client"
    if "pairwise" not in value:
        assert "subject_type" not in detent.house.registry.client_metadata
        return
    keys: Any = detent.house.outside.keys
    told = set()
    for uri in ("https://one.example/", "https://two.example/"):
        pairwise = {"redirect_uris": (uri,), "extra": {"subject_type": "pairwise"}}
        detent.apply(InsertClient(client(uri[8:11], "native", keys, **pairwise)))
        tokens = detent.redeem(uri[8:11], detent.code(uri[8:11], redirect_uri=uri), redirect_uri=uri).json()
        told.add(claims_of(tokens["access_token"])["sub"])
    assert len(told | {public}) == 3


def drive_challenge_methods(detent: Detent, value: Any) -> None:
    assert value == ["S256"]
    assert detent.redeem("app", detent.code("app")).status_code == 200
    plain = detent.code("app", code_challenge=VERIFIER)
    assert detent.redeem("app", plain).json()["error"] == "invalid_grant"
    assert refusal(detent, code_challenge_method="plain") == "invalid_request"
    assert refusal(detent, code_challenge=None, code_challenge_method=None) == "invalid_request"


def drive_response_types(detent: Detent, value: Any) -> None:
    assert value == ["code"]
    with Browser(detent) as browser:
        assert "code" in browser.sign_in(response_type="code", scope=scope_of(detent))
    for other in ("token", "id_token", "code id_token", "none"):
        assert refusal(detent, response_type=other) == "unsupported_response_type"


def drive_response_modes(detent: Detent, value: Any) -> None:
    asked = scope_of(detent)
    with Browser(detent) as browser:
        assert "code" in browser.sign_in(response_mode="query", scope=asked)
        assert browser.authorize(response_mode="form_post", scope=asked).forms[0]["fields"]["code"]
        if "web_message" in value:
            assert "authorization_response" in browser.open("/static/web_message.js").text
            assert "dtac_" in browser.authorize(response_mode="web_message", scope=asked).text
    for other in {"web_message", "fragment"} - set(value):
        assert refusal(detent, response_mode=other) == "invalid_request"


def drive_iss(detent: Detent, value: Any) -> None:
    assert value is True
    asked = scope_of(detent)
    with Browser(detent) as browser:
        assert {browser.authorize(prompt="none", scope=asked).answer["iss"], browser.sign_in(scope=asked)["iss"]} == {
            detent.issuer
        }


def drive_prompts(detent: Detent, value: Any) -> None:
    shown_at = {"none": "/authorize", "login": "/login", "consent": "/consent", "select_account": "/login"}
    if "/sign-up" in detent.house.registry.routes:
        shown_at["create"] = "/sign-up"
    else:
        assert refusal(detent, prompt="create") == "invalid_request"
    assert value == list(shown_at)
    with Browser(detent) as browser:
        asked = scope_of(detent)
        browser.sign_in(scope=asked)
        shown = {prompt: browser.authorize(prompt=prompt, scope=asked).path for prompt in value}
        assert shown == shown_at
    assert refusal(detent, prompt="delete") == "invalid_request"


def drive_pushing(detent: Detent, value: Any) -> None:
    drive_endpoint(detent, value)
    pushed = detent.post(urlsplit(value).path, "spa", **request_of(scope=scope_of(detent)))
    with Browser(detent) as browser:
        only: dict[str, Any] = {name: None for name in request_of() if name != "client_id"}
        assert "code" in browser.sign_in(request_uri=pushed.json()["request_uri"], **only)


def drive_request_object_algs(detent: Detent, value: Any) -> None:
    for alg in value:
        by_secret: dict[str, Any] = {"method": "client_secret_jwt", "extra": {"request_object_signing_alg": alg}}
        signing = Asserting(detent, alg, kind="web", **(by_secret if alg == "HS256" else {}))
        with Browser(detent) as browser:
            claims = {"iss": signing.name, "aud": detent.issuer, **request_of(signing.name, scope=scope_of(detent))}
            assert "code" in browser.sign_in(signing.name, request=signed(signing.key, claims, alg=alg))
    unsigned = without_signature(signed(key("any"), {"iss": "spa", "aud": detent.issuer, **request_of()}))
    assert refusal(detent, request=unsigned) == "invalid_request_object"


def drive_request_objects(detent: Detent, value: Any) -> None:
    assert value is True
    drive_request_object_algs(detent, ["ES256"])


def drive_not_supported(parameter: str, error: str) -> Callable[[Detent, Any], None]:
    def drive(detent: Detent, value: Any) -> None:
        assert value is False
        assert refusal(detent, **{parameter: "https://x.example/"}) == error

    return drive


def drive_claims_parameter(detent: Detent, value: Any) -> None:
    assert value is True
    with Browser(detent) as browser:
        tokens = browser.tokens(scope="openid read", claims='{"id_token": {"email": {"essential": true}}}')
        assert claims_of(tokens["id_token"])["email"] == "test@example.com"


def drive_acr_values(detent: Detent, value: Any) -> None:
    for acr in value:
        with Browser(detent) as browser:
            claims = json.dumps({"id_token": {"acr": {"essential": True, "values": [acr]}}})
            assert claims_of(browser.tokens(claims=claims)["id_token"])["acr"] == acr


def drive_display(detent: Detent, value: Any) -> None:
    for display in value:
        with Browser(detent) as browser:
            assert browser.authorize(display=display).path == "/login"


def drive_ui_locales(detent: Detent, value: Any) -> None:
    for locale in value:
        with Browser(detent) as browser:
            assert f'<html lang="{locale}"' in browser.authorize(ui_locales=locale).text


def drive_end_session(detent: Detent, value: Any) -> None:
    with Browser(detent) as browser:
        hint = browser.tokens()["id_token"]
        leaving = browser.open(value, params={"id_token_hint": hint, "post_logout_redirect_uri": RETURN_URI})
        assert leaving.location == RETURN_URI


def drive_backchannel_logout(detent: Detent, value: Any) -> None:
    """Driven whole, with every way in which a session ends, in tests/webhooks/test_logouts.py."""
    assert value is True
    name = detent.house.outside.entropy.token_bytes(8).hex()
    receiver = logging_out.app(detent, name)
    browser, tokens = logging_out.signed_in(detent, name)
    browser.open("/oidc/logout", params={"id_token_hint": tokens[name]["id_token"]})
    logging_out.deliver(detent)
    told = logging_out.claims_of(detent, receiver.one(), name)
    assert told["sid"] == claims_of(tokens[name]["id_token"])["sid"]


def drive_proof_algs(detent: Detent, value: Any) -> None:
    for alg in value:
        assert Holder(detent, alg).sign_in()["token_type"] == "DPoP"


def drive_documents(detent: Detent, value: Any) -> None:
    """What is believed of documents is in test_client_id_metadata.py; here nobody publishes one."""
    assert value is True
    with Browser(detent) as browser:
        assert "could not be read" in browser.authorize("https://127.0.0.1:1/app").text


DRIVEN: dict[str, Callable[[Detent, Any], None]] = {
    "issuer": drive_issuer,
    "token_endpoint": drive_endpoint,
    "revocation_endpoint": drive_endpoint,
    "introspection_endpoint": drive_endpoint,
    "userinfo_endpoint": drive_endpoint,
    "jwks_uri": drive_endpoint,
    "device_authorization_endpoint": drive_endpoint,
    "grant_types_supported": drive_grant_types,
    "scopes_supported": drive_scopes,
    "token_endpoint_auth_methods_supported": drive_methods_at("/oauth/token"),
    "revocation_endpoint_auth_methods_supported": drive_methods_at("/oauth/revoke"),
    "introspection_endpoint_auth_methods_supported": drive_methods_at("/oauth/introspect"),
    "token_endpoint_auth_signing_alg_values_supported": drive_assertion_algs_at("/oauth/token"),
    "revocation_endpoint_auth_signing_alg_values_supported": drive_assertion_algs_at("/oauth/revoke"),
    "introspection_endpoint_auth_signing_alg_values_supported": drive_assertion_algs_at("/oauth/introspect"),
    "code_challenge_methods_supported": drive_challenge_methods,
    "subject_types_supported": drive_subject_types,
    "id_token_signing_alg_values_supported": drive_id_token_algs,
    "userinfo_signing_alg_values_supported": drive_userinfo_algs,
    "id_token_encryption_alg_values_supported": drive_encryption("id_token"),
    "id_token_encryption_enc_values_supported": drive_encryption("id_token"),
    "userinfo_encryption_alg_values_supported": drive_encryption("userinfo"),
    "userinfo_encryption_enc_values_supported": drive_encryption("userinfo"),
    "claims_supported": drive_claims,
    "client_id_metadata_document_supported": drive_documents,
    "registration_endpoint": drive_endpoint,
    "acr_values_supported": drive_acr_values,
    "display_values_supported": drive_display,
    "ui_locales_supported": drive_ui_locales,
    "authorization_endpoint": drive_endpoint,
    "end_session_endpoint": drive_end_session,
    "backchannel_logout_supported": drive_backchannel_logout,
    "backchannel_logout_session_supported": drive_backchannel_logout,
    "response_types_supported": drive_response_types,
    "response_modes_supported": drive_response_modes,
    "authorization_response_iss_parameter_supported": drive_iss,
    "prompt_values_supported": drive_prompts,
    "claims_parameter_supported": drive_claims_parameter,
    "dpop_signing_alg_values_supported": drive_proof_algs,
    "request_parameter_supported": drive_request_objects,
    "request_object_signing_alg_values_supported": drive_request_object_algs,
    "request_object_encryption_alg_values_supported": drive_request_object_encryption,
    "request_object_encryption_enc_values_supported": drive_request_object_encryption,
    "pushed_authorization_request_endpoint": drive_pushing,
    "request_uri_parameter_supported": drive_not_supported("request_uri", "request_uri_not_supported"),
}
