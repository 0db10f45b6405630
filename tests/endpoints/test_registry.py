"""The registry (design §2): contributions are disjoint, and a feature is a value that needs no edit elsewhere.

The feature here is invented by this file: a grant, a proof of possession, stages, a refresh strategy, a mark, a route
and metadata. It goes where app.py lists features, and nowhere else.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import detent
from detent.app import House
from detent.core.api import Api, SigningAlg
from detent.core.authorization import Authorization, PendingAuthorization
from detent.core.changes import InsertApi, InsertClient
from detent.core.claims import ACCESS_CLAIMS
from detent.core.client import Client
from detent.core.confirmation import Confirmation
from detent.core.errors import InvalidGrant, InvalidRequest, OAuthError, UnsupportedTokenType
from detent.core.exchange import Form, Request, Response, TokenResponse
from detent.core.family import Family
from detent.core.ids import FamilyKey, Instant
from detent.registry.feature import Feature
from detent.registry.joined import Registry, RegistryError
from detent.registry.requests import Phase, Proved, Stage, TokenRequest
from detent.registry.routes import ClientRequest, ClientRoute, Route
from detent.registry.tokens import Issued
from detent.web.respond import json_private, json_public
from tests.attacks.outcomes import assert_refused
from tests.mission.test_a_tokens import claims_of
from tests.serving import API, SECRET, START, Detent, client, running

COUPON = "urn:example:grant-type:coupon"
PLAIN = "https://plain.example/"
KEY, OTHER_KEY = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


# A feature


class Coupon:
    """A grant: whoever shows a coupon is the person `test`."""

    grant_type = COUPON

    def __init__(self, house: House) -> None:
        self._house = house

    def screen(self, form: Form, client_id: str, now: Instant) -> str:
        if form.get("coupon") is None:
            raise InvalidRequest("The parameter coupon is missing.")
        return form["coupon"]

    async def issue(self, request: TokenRequest, screened: str) -> TokenResponse:
        user = await self._house.outside.directory.user_by_name("test")
        if user is None or screened != "10-percent":
            raise InvalidGrant("This coupon is not good.")
        now, issuing = request.now, self._house.issuing
        authorization = Authorization(request.client.client_id, user.subject, ("read",), (API,), now, auth_time=now)
        pending = PendingAuthorization(issuing.new_key(user.subject), authorization, expires_at=now)
        around = await issuing.surroundings(request.client, user.epoch)
        return await issuing.begin(request, pending, user, around)


class InvalidProof(OAuthError):
    code, status = "invalid_dpop_proof", 400


class Proof:
    """A possession: the header X-Proof names the key that it proves."""

    name = "x-proof"
    scheme = "Proved"
    challenge = 'Proved by="x-proof"'

    def asked(self, form: Form) -> Confirmation | None:
        return Confirmation(jkt=form["key"]) if form.get("key") else None

    async def prove(self, request: Request, client: Client, now: Instant) -> Proved | None:
        proof = request.headers.get("x-proof")
        if proof == "bad":
            raise InvalidProof("The proof is bad.")
        if proof is None and client.extra.get("proof_required"):
            raise InvalidRequest("This client must bring a proof.")
        return Proved(Confirmation(jkt=proof), headers=(("x-proved", "yes"),)) if proof else None

    async def offered(self, request: Request, now: Instant) -> Proved | None:
        return None

    async def present(self, request: Request, access_token: str, now: Instant) -> Proved | None:
        return None


class Lottery:
    """A refresh strategy for tokens that begin with `lot_`."""

    name = "lottery"
    told = "Seven wins."

    def recognises(self, token: str) -> bool:
        return token.startswith("lot_")

    async def redeem(self, token: str, request: TokenRequest) -> TokenResponse:
        if token != "lot_7":
            raise InvalidGrant("This ticket did not win.")
        return TokenResponse("won", "Bearer", 60, "read", refresh_token="lot_7")

    def family_of(self, token: str) -> FamilyKey | None:
        return None

    async def issue(self, family: Family, client: Client, now: Instant) -> Issued:
        return Issued("lot_7")

    async def introspect(self, token: str, client: Client, now: Instant) -> dict[str, Any] | None:
        return {"exp": now + 60} if token == "lot_7" else None

    async def revoke(self, token: str, request: TokenRequest) -> None:
        raise UnsupportedTokenType("A ticket is a ticket.")


async def invented(request: Request) -> Response:
    return json_public({"path": request.path}, 60)


async def greeting(request: ClientRequest) -> Response:
    if request.form.get("name") is None:
        raise InvalidRequest("The parameter name is missing.")
    return json_private({"client": request.client.client_id, "name": request.form.get("name")})


def stages(run: list[str]) -> tuple[Stage, ...]:
    """One for each phase, listed backwards; each notes that it ran, the second refuses who is unlucky."""

    def stage(phase: Phase) -> Stage:
        async def note(request: TokenRequest) -> TokenRequest:
            run.append(phase.value)
            if phase is Phase.CHECK and request.form.get("unlucky"):
                raise InvalidGrant("Not today.")
            return request

        return Stage(f"note-{phase.value}", phase, note)

    return tuple(stage(phase) for phase in reversed(Phase))


class Plain:
    """A token format: claims in hexadecimal, sealed by nothing."""

    name = "plain"
    self_contained = True

    async def mint(self, claims: dict[str, Any], alg: SigningAlg) -> str:
        return "plain_" + msgspec.json.encode(claims).hex()

    def recognises(self, token: str) -> bool:
        return token.startswith("plain_")

    def said(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = msgspec.json.decode(bytes.fromhex(token.removeprefix("plain_")))
        return claims

    def read(self, token: str, audience: str | None, now: Instant) -> dict[str, Any] | None:
        claims = self.said(token)
        return claims if now < claims["exp"] else None


class Stamp:
    """A mark: what was granted through the door of an invention says so for ever."""

    claim = "stamp"

    async def born(self, authorization: Authorization) -> Authorization:
        if authorization.client_id != "shop":
            return authorization
        return msgspec.structs.replace(authorization, extra={**authorization.extra, "stamp": {"of": "the shop"}})

    def told(self, authorization: Authorization) -> Any:
        return authorization.extra.get("stamp")


def invention(house: House, run: list[str]) -> Feature:
    return Feature(
        "invention",
        ("none",),
        grants=(Coupon(house),),
        possession=(Proof(),),
        strategies=(Lottery(),),
        marks=(Stamp(),),
        token_formats=(Plain(),),
        stages=stages(run),
        routes=(Route("/invented", ("GET",), invented, metadata="invented_endpoint", cors="everybody"),),
        client_routes=(ClientRoute("/invented/for-clients", greeting, metadata="invented_client_endpoint"),),
        metadata={"invented_supported": True},
        client_metadata={"proof_required": bool},
    )


@pytest.fixture(scope="module")
def run() -> list[str]:
    """Which stages ran."""
    return []


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, keys_folder: Path, run: list[str]) -> Iterator[Detent]:
    folder = tmp_path_factory.mktemp("extended")
    with running(folder, keys_folder, "memory", more=lambda house: (invention(house, run),)) as served:
        keys: Any = served.house.outside.keys
        grants = (COUPON, "refresh_token")
        served.apply(
            InsertClient(client("shop", "native", keys, grant_types=grants)),
            *(
                InsertClient(client(name, "web", keys, grant_types=grants, refresh_strategy=name))
                for name in ("allowlist", "short_lived")
            ),
            InsertApi(Api(PLAIN, START, "Plain", {"read": "Read"}, token_format="plain")),
        )
        yield served


def with_coupon(detent: Detent, proof: str = "", **form: str) -> Any:
    headers = {"X-Proof": proof} if proof else None
    form = {"grant_type": COUPON, "coupon": "10-percent"} | form
    return detent.post("/oauth/token", "shop", headers=headers, **form)


@pytest.mark.quick
def test_a_grant_of_a_feature_is_offered_screens_and_issues(extended: Detent) -> None:
    tokens = with_coupon(extended).json()
    assert claims_of(tokens["access_token"])["sub"] == extended.user("test").subject
    assert extended.secret(tokens["access_token"]).status_code == 200
    assert extended.refresh("shop", tokens["refresh_token"]).status_code == 200
    assert COUPON in extended.http.get("/.well-known/openid-configuration").json()["grant_types_supported"]

    assert_refused(with_coupon(extended, coupon="20-percent"), "invalid_grant")
    assert_refused(with_coupon(extended, coupon=""), "invalid_request")
    assert_refused(extended.token("app", grant_type=COUPON, coupon="10-percent"), "unauthorized_client")


@pytest.mark.parametrize("strategy", ["allowlist", "short_lived"])
def test_rfc9449_5_a_confidential_clients_refresh_token_is_bound_to_no_key_and_its_access_tokens_each_to_their_own(
    extended: Detent, strategy: str
) -> None:
    def ask(proof: str, **form: str) -> Any:
        headers = {"X-Proof": proof} if proof else {}
        return extended.http.post("/oauth/token", data=form, headers=headers, auth=(strategy, SECRET))

    tokens = ask(KEY, grant_type=COUPON, coupon="10-percent").json()
    assert claims_of(tokens["access_token"])["cnf"] == {"jkt": KEY}
    renewed = ask(OTHER_KEY, grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    assert (renewed["token_type"], claims_of(renewed["access_token"])["cnf"]) == ("DPoP", {"jkt": OTHER_KEY})
    plain = ask("", grant_type="refresh_token", refresh_token=renewed["refresh_token"]).json()
    assert plain["token_type"] == "Bearer"
    assert "cnf" not in claims_of(plain["access_token"])


@pytest.mark.quick
def test_a_token_format_of_a_feature_is_minted_and_read(extended: Detent) -> None:
    token = extended.token("machine", grant_type="client_credentials", resource=PLAIN).json()["access_token"]
    assert token.startswith("plain_")
    assert extended.introspect(token, "machine")["aud"] == [PLAIN]
    assert extended.revoke(token, "machine").status_code == 200
    assert extended.introspect(token, "machine") == {"active": False}


@pytest.mark.quick
def test_a_mark_is_set_at_birth_and_told_by_every_access_token_of_that_authorization(extended: Detent) -> None:
    tokens = with_coupon(extended).json()
    refreshed = extended.refreshed("shop", tokens["refresh_token"])
    assert [claims_of(each["access_token"])["stamp"] for each in (tokens, refreshed)] == [{"of": "the shop"}] * 2
    assert "stamp" not in claims_of(extended.sign_in("app")["access_token"])
    machine = extended.token("machine", grant_type="client_credentials").json()
    assert "stamp" not in claims_of(machine["access_token"])


def test_the_claims_that_no_mark_may_take_are_those_that_the_server_tells(standing: Detent) -> None:
    told = {*claims_of(standing.sign_in("app")["access_token"])}
    assert told - ACCESS_CLAIMS == {"status"}


def test_rfc9449_5_a_clients_own_token_is_bound_to_the_key_it_proved(extended: Detent) -> None:
    answer = extended.post("/oauth/token", "machine", headers={"X-Proof": KEY}, grant_type="client_credentials").json()
    assert answer["token_type"] == "DPoP"
    assert claims_of(answer["access_token"])["cnf"] == {"jkt": KEY}
    assert extended.secret(answer["access_token"]).status_code == 401, "it is no bearer token"
    assert extended.introspect(answer["access_token"], "machine")["token_type"] == "DPoP"


def test_rfc9449_5_a_possession_binds_what_is_issued_to_the_key_it_proved(extended: Detent) -> None:
    tokens = with_coupon(extended, KEY).json()
    assert tokens["token_type"] == "DPoP"
    assert claims_of(tokens["access_token"])["cnf"] == {"jkt": KEY}
    assert extended.secret(tokens["access_token"]).status_code == 401, "it is no bearer token any more"
    assert_refused(with_coupon(extended, "bad"), "invalid_dpop_proof")

    before = extended.family(tokens["refresh_token"], "shop")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for wrong in ({}, {"X-Proof": OTHER_KEY}):
        assert_refused(extended.post("/oauth/token", "shop", headers=wrong, **form), "invalid_grant")
    assert extended.family(tokens["refresh_token"], "shop") == before, "a thief without the key harms nobody"
    renewed = extended.post("/oauth/token", "shop", headers={"X-Proof": KEY}, **form)
    assert (renewed.status_code, renewed.json()["token_type"]) == (200, "DPoP")
    assert claims_of(renewed.json()["access_token"])["cnf"] == {"jkt": KEY}


def test_rfc9449_6_a_code_that_is_bound_to_a_key_is_worth_nothing_without_it(extended: Detent) -> None:
    now = extended.clock.now()
    subject = extended.user("test").subject
    bound = Authorization(
        client("shop", "native", extended.house.outside.keys).client_id,
        subject, ("read",), (API,), now, auth_time=now, cnf=Confirmation(jkt=KEY),
    )  # fmt: skip
    code = extended.code("app", authorization=msgspec.structs.replace(bound, client_id="app"))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://127.0.0.1:7777/callback",
            "code_verifier": "a-code-verifier-of-at-least-forty-three-characters"}  # fmt: skip
    for wrong in ({}, {"X-Proof": OTHER_KEY}):
        assert_refused(extended.post("/oauth/token", "app", headers=wrong, **form), "invalid_grant")
    answer = extended.post("/oauth/token", "app", headers={"X-Proof": KEY}, **form)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")


@pytest.mark.quick
def test_stages_run_by_phase_between_authentication_and_the_grant(extended: Detent, run: list[str]) -> None:
    run.clear()
    assert with_coupon(extended).status_code == 200
    assert run == ["resolve", "check", "bind", "respond"], "whatever order they are listed in"

    run.clear()
    assert_refused(with_coupon(extended, unlucky="yes"), "invalid_grant")
    assert run == ["resolve", "check"], "a refusal ends it"

    run.clear()
    assert_refused(extended.http.post("/oauth/token", data={"grant_type": COUPON, "coupon": "x"}, auth=("web", "no")),
                   "invalid_client", 401)  # fmt: skip
    assert_refused(extended.token("app", grant_type=COUPON, coupon="x"), "unauthorized_client")
    assert run == [], "no stage sees a client that is not proved"


def test_a_refresh_strategy_takes_the_tokens_that_it_recognises_and_no_others(extended: Detent) -> None:
    assert extended.refreshed("shop", "lot_7")["access_token"] == "won"
    assert_refused(extended.refresh("shop", "lot_8"), "invalid_grant")
    family = with_coupon(extended).json()
    assert extended.refresh("shop", family["refresh_token"]).status_code == 200


@pytest.mark.quick
def test_a_route_is_served_and_its_metadata_published(extended: Detent) -> None:
    answer = extended.http.get("/invented", headers={"Origin": "https://any.example"})
    assert answer.json() == {"path": "/invented"}
    assert answer.headers["access-control-allow-origin"] == "*"
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
        published = extended.http.get(path).json()
        assert published["invented_endpoint"] == extended.issuer + "invented"
        assert published["invented_supported"] is True


@pytest.mark.quick
def test_a_route_for_clients_is_served_to_those_who_authenticate(extended: Detent) -> None:
    path = "/invented/for-clients"
    assert extended.http.get("/.well-known/openid-configuration").json()["invented_client_endpoint"].endswith(path)
    assert extended.post(path, "testclient", name="Ada").json() == {"client": "testclient", "name": "Ada"}
    assert_refused(extended.post(path, "testclient", other="x"), "invalid_request")
    assert_refused(extended.post(path, None, client_id="testclient", name="Ada"), "invalid_client", 401)


@pytest.mark.quick
def test_without_the_feature_there_is_no_trace_of_it(standing: Detent) -> None:
    assert standing.http.get("/invented").status_code == 404
    assert_refused(standing.token("testclient", grant_type=COUPON, coupon="x"), "unsupported_grant_type")
    assert_refused(standing.refresh("testclient", "lot_7"), "invalid_grant")
    ignored = standing.post("/oauth/token", "testclient", headers={"X-Proof": "bad"}, grant_type="password",
                            username="test", password="test")  # fmt: skip
    assert ignored.json()["token_type"] == "Bearer"
    assert "invented" not in standing.http.get("/.well-known/openid-configuration").text


def test_the_password_grant_is_a_feature_like_that(tmp_path: Path, keys_folder: Path) -> None:
    with running(tmp_path, keys_folder, "memory", password_grant=False) as plain:
        registry = plain.house.registry
        assert "password" not in {feature.name for feature in registry.features}
        assert not [name for name in (*registry.grants, *registry.routes, *registry.metadata) if "password" in name]
        assert "password" not in plain.http.get("/.well-known/openid-configuration").text
        refused = plain.token("testclient", grant_type="password", username="test", password="test")
        assert_refused(refused, "unsupported_grant_type")
        assert "password" not in refused.json()["error_description"]


@pytest.mark.parametrize("name", ["password", "dpop", "status_list"])
def test_a_feature_is_listed_in_one_place_and_its_file_can_be_deleted(name: str) -> None:
    root = Path(detent.__file__).parent
    importers = [path.relative_to(root).as_posix() for path in root.rglob("*.py") if imports(path, name)]
    assert importers == ["app.py"]


def imports(path: Path, feature: str) -> bool:
    """Whether this file names the module of the feature."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (
            node.module == f"detent.features.{feature}"
            or (node.module == "detent.features" and feature in {alias.name for alias in node.names})
        ):
            return True
        if isinstance(node, ast.Import) and f"detent.features.{feature}" in {alias.name for alias in node.names}:
            return True
    return False


# Disjoint contributions


class Named:
    """Something that is contributed under a name, whatever it is called there."""

    def __init__(self, name: str) -> None:
        self.grant_type = self.method = self.name = self.claim = name


def route(path: str, metadata: str | None = None) -> Route:
    return Route(path, ("GET",), invented, metadata=metadata)


CONTRIBUTIONS: dict[str, Callable[[str], Any]] = {
    "grants": Named,
    "client_auth": Named,
    "token_formats": Named,
    "strategies": Named,
    "marks": Named,
    "possession": Named,
    "response_modes": Named,
    "stages": lambda name: Stage(name, Phase.CHECK, run=lambda request: request),  # type: ignore[arg-type,return-value]
    "routes": route,
}


def feature(name: str, **contributions: Any) -> Feature:
    return Feature(name, (), **contributions)


@pytest.mark.quick
@pytest.mark.parametrize("kind", CONTRIBUTIONS)
def test_two_owners_of_one_name_stop_the_start_and_both_are_named(kind: str) -> None:
    make = CONTRIBUTIONS[kind]
    one, other = feature("one", **{kind: (make("/same"),)}), feature("other", **{kind: (make("/same"),)})
    with pytest.raises(RegistryError) as caught:
        Registry(one, other)
    assert all(name in str(caught.value) for name in ("/same", "one", "other"))
    with pytest.raises(RegistryError):
        Registry(feature("greedy", **{kind: (make("/same"), make("/same"))}))
    Registry(one, feature("other", **{kind: (make("/another"),)}))


def test_metadata_has_one_owner_whether_a_route_names_it_or_a_member_does() -> None:
    by_route = feature("one", routes=(route("/one", "x_endpoint"),))
    for by_other in (
        feature("other", routes=(route("/other", "x_endpoint"),)),
        feature("other", metadata={"x_endpoint": "https://other.example/"}),
    ):
        with pytest.raises(RegistryError, match=r"x_endpoint.*one.*other"):
            Registry(by_route, by_other)
    with pytest.raises(RegistryError, match=r"x_supported.*one.*other"):
        Registry(feature("one", metadata={"x_supported": 1}), feature("other", metadata={"x_supported": 1}))


def test_a_feature_is_listed_once_with_what_it_requires_and_without_what_it_conflicts_with() -> None:
    plain = feature("plain")
    with pytest.raises(RegistryError, match="plain is listed twice"):
        Registry(plain, feature("plain"))
    needy = feature("needy", requires=("plain", "missing", "absent"))
    with pytest.raises(RegistryError, match="needy requires missing, absent"):
        Registry(plain, needy)
    hostile = feature("hostile", conflicts=("plain",))
    for order in ((plain, hostile), (hostile, plain)):
        with pytest.raises(RegistryError, match="hostile cannot stand beside plain"):
            Registry(*order)
    Registry(feature("missing"), needy, feature("absent"), plain)


TAKEN: dict[str, tuple[Feature, str]] = {
    "a grant": (feature("greedy", grants=(Named("refresh_token"),)), "base"),
    "a method": (feature("greedy", client_auth=(Named("none"),)), "base"),
    "a path": (feature("greedy", routes=(route("/oauth/token"),)), "endpoints"),
    "an endpoint's name": (feature("greedy", routes=(route("/x", "token_endpoint"),)), "endpoints"),
    "a member": (feature("greedy", metadata={"jwks_uri": "https://evil.example/"}), "endpoints"),
    "the issuer": (feature("greedy", metadata={"issuer": "https://evil.example/"}), "the server"),
    "a list": (feature("greedy", metadata={"grant_types_supported": []}), "the server"),
    "a route of a list": (feature("greedy", routes=(route("/x", "scopes_supported"),)), "the server"),
    "the grant of another feature": (feature("greedy", grants=(Named("password"),)), "password"),
    "a claim": (feature("greedy", marks=(Named("sub"),)), "the server"),
    "the claim of another feature": (feature("greedy", marks=(Named("status"),)), "status-list"),
    "a conflict": (feature("greedy", conflicts=("password",)), "password"),
}


@pytest.mark.quick
@pytest.mark.parametrize("what", TAKEN)
def test_a_house_does_not_start_with_a_feature_that_takes_what_is_anothers(standing: Detent, what: str) -> None:
    greedy, owner = TAKEN[what]
    with pytest.raises(RegistryError) as caught:
        House(standing.house.outside, issuer=standing.issuer, password_grant=True, more=lambda house: (greedy,))
    assert owner in str(caught.value)
    assert "greedy" in str(caught.value) or what == "a conflict"
