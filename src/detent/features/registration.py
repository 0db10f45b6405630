"""Clients that register themselves (RFC 7591, OpenID Connect Registration) and mind their registration (RFC 7592).

Off unless the operator says who may: holders of an initial access token, or anybody. What may be said is
core/registering.py; what is safe is judged by the one validator of clients. A registration access token is shown once,
hashed at rest, and good for its own client alone.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from detent.client_auth.flood import Flood
from detent.client_auth.initial_tokens import InitialTokens
from detent.core.base64url import base64url
from detent.core.client import INITIATE_LOGIN_URI, OPEN, REQUEST_OBJECT_ALG, REQUIRE_NONCE, Client, check_shown_uri
from detent.core.errors import (
    Conflict,
    InvalidClientMetadata,
    InvalidToken,
    TemporarilyUnavailable,
    UnsupportedMediaType,
)
from detent.core.exchange import Request, Response
from detent.core.ids import Instant
from detent.core.registering import (
    OPEN_GRANTS,
    OWN_MEMBERS,
    PRIVILEGED,
    TRUSTED_GRANTS,
    fields_of,
    kind_of,
    more_of,
    read_metadata,
    told_itself,
    without_issued,
)
from detent.ports import Clock, Entropy, Store
from detent.registry.clients import Registrar
from detent.registry.feature import Feature
from detent.registry.routes import Route
from detent.resource_server.compact import load_object
from detent.web.bearer import presented_token
from detent.web.respond import BEARER_CHALLENGE, MissingToken, json_private

PATH: Final = "/oidc/register"
TOKEN_PREFIX: Final = "dtra_"
AT_ONE_NETWORK, EVERYWHERE = 20, 1000  # an hour
MAX_BYTES: Final = 32 * 1024
_ATTEMPTS: Final = 10

Mode = Literal["token", "open"]


class Demands(msgspec.Struct, frozen=True):
    """What confidential clients that register themselves cannot do without; public ones always send PKCE."""

    pkce: bool = True
    nonce: bool = True

    def of(self, public: bool) -> tuple[bool, dict[str, Any]]:
        """`require_pkce`, and members of the client that say the rest."""
        return self.pkce or public, {} if self.nonce or public else {REQUIRE_NONCE: False}


class Statements(Protocol):
    async def opened(self, statement: str, now: Instant) -> dict[str, Any]:
        """What the issuer of a software statement says of the software. Raises OAuthError."""
        ...


class Registration:
    def __init__(
        self,
        issuer: str,
        mode: Mode,
        scopes: tuple[str, ...],
        demands: Demands,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        tokens: InitialTokens,
        registrar: Registrar,
        known: Mapping[str, Any],
        statements: Statements,
    ) -> None:
        self._issuer = issuer
        self._mode = mode
        self._scopes = scopes
        self._demands = demands
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._tokens = tokens
        self._registrar = registrar
        self._known = known
        self._statements = statements
        self._flood = Flood(AT_ONE_NETWORK, EVERYWHERE)

    async def register(self, request: Request) -> Response:
        """RFC 7591 §3."""
        presented = self._initial_token(request)
        given = await self._described(_document(request))
        metadata = read_metadata(given)
        fields = fields_of(metadata, TRUSTED_GRANTS if presented else OPEN_GRANTS, self._scopes)
        fields["require_pkce"], exempt = self._demands.of(metadata.token_endpoint_auth_method == "none")
        fields["metadata"] = more_of(given, self._known) | exempt
        if presented is None:
            self._flood.count(request.peer, self._clock.now(), "clients were registered")
        token = TOKEN_PREFIX + base64url(self._entropy.token_bytes(32))
        for _ in range(_ATTEMPTS):
            by, part = await self._tokens.use(presented) if presented else (OPEN, None)
            try:
                client, secret = await self._registrar.register(
                    kind_of(metadata), fields, by, _digest(token), (part,) if part else ()
                )
            except Conflict:  # another registration used the token at the same moment
                continue
            issued = {"client_secret": secret, "client_secret_expires_at": 0} if secret else {}
            return json_private({**self._told(client, token), **issued}, 201)
        raise TemporarilyUnavailable("Too many use this token at the same moment; try again.", retry_after=1)

    async def manage(self, request: Request) -> Response:
        """RFC 7592 §2."""
        client, token = await self._of(request)
        if request.method == "GET":
            return json_private(self._told(client, token))
        if request.method == "DELETE":
            await self._registrar.remove_client(client.client_id)
            return Response(204, headers=(("cache-control", "no-store"),))
        given = _document(request)
        if given.get("client_id") != client.client_id:
            raise InvalidClientMetadata("client_id must be there, and the client's own (RFC 7592 2.2).")
        if issued := {"registration_access_token", "registration_client_uri", "client_id_issued_at"} & given.keys():
            raise InvalidClientMetadata(f"An update must not hold {', '.join(sorted(issued))} (RFC 7592 2.2).")
        given = without_issued(await self._described(given))
        metadata = read_metadata(given)
        if kind_of(metadata) != client.kind:
            raise InvalidClientMetadata(f"This is a {client.kind} client and stays one; register another.")
        signs = metadata.token_endpoint_auth_method == "client_secret_jwt" or given.get(REQUEST_OBJECT_ALG) == "HS256"
        if signs and not client.signs_with_secret:
            raise InvalidClientMetadata("A shown secret cannot become one to sign with; register another client.")
        trusted = client.registered_by != OPEN
        fields = fields_of(metadata, TRUSTED_GRANTS if trusted else OPEN_GRANTS, self._scopes)
        fields["metadata"] = dict.fromkeys(client.extra.keys() - PRIVILEGED) | more_of(given, self._known)
        return json_private(self._told(await self._registrar.change(client, fields), token))

    def _initial_token(self, request: Request) -> str | None:
        """Raises MissingToken where one must be shown."""
        try:
            return presented_token(request, ("bearer",))[1]
        except MissingToken:
            if self._mode == "open" and "authorization" not in request.headers:
                return None
            raise MissingToken("Registering a client here takes an initial access token (RFC 7591 3).") from None

    async def _described(self, given: dict[str, Any]) -> dict[str, Any]:
        """With what a software statement says in place of what the client says (RFC 7591 §2.3)."""
        statement = given.get("software_statement")
        if statement is None:
            return given
        if not isinstance(statement, str):
            raise InvalidClientMetadata("software_statement must be a string.")
        return given | await self._statements.opened(statement, self._clock.now())

    async def _of(self, request: Request) -> tuple[Client, str]:
        """Whose registration access token this is. Raises InvalidToken, whatever is wrong (RFC 7592 §2.1)."""
        token = presented_token(request, ("bearer",))[1]
        client = await self._store.client(request.path.rpartition("/")[2])
        stored = client.registration_token if client else b""
        if client is None or not client.enabled or not hmac.compare_digest(stored, _digest(token)):
            raise InvalidToken("This token is not the registration access token of this client.").challenged(
                f'{BEARER_CHALLENGE}, error="invalid_token"'
            )
        return client, token

    def _told(self, client: Client, token: str) -> dict[str, Any]:
        uri = f"{self._issuer}{PATH.removeprefix('/')}/{client.client_id}"
        managed = {"registration_access_token": token, "registration_client_uri": uri}
        return {**told_itself(client), **managed}


def _document(request: Request) -> dict[str, Any]:
    """Raises InvalidClientMetadata, UnsupportedMediaType."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send the metadata as application/json.")
    document = load_object(request.body) if len(request.body) <= MAX_BYTES else None
    if document is None:
        raise InvalidClientMetadata(f"The body is not one JSON object of at most {MAX_BYTES} bytes.")
    return document


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def _check(client: Client) -> None:
    """Raises InvalidClientMetadata."""
    initiating = client.extra.get(INITIATE_LOGIN_URI, "")
    check_shown_uri(initiating)
    if initiating.lower().startswith("http:"):
        raise InvalidClientMetadata(f"{INITIATE_LOGIN_URI} must be https, on loopback too (OpenID Registration 2).")
    if len(msgspec.json.encode(client.extra)) > MAX_BYTES:
        raise InvalidClientMetadata(f"The metadata is longer than {MAX_BYTES} bytes.")


def feature(registration: Registration | None) -> Feature:
    """Without one nobody registers, and the members of a registration are there all the same."""
    routes = () if registration is None else (
        Route(PATH, ("POST",), registration.register, metadata="registration_endpoint", cors="everybody"),
        Route(f"{PATH}/{{}}", ("GET", "PUT", "DELETE"), registration.manage, cors="everybody"),
    )  # fmt: skip
    return Feature(
        "registration",
        ("RFC 7591", "RFC 7592", "OpenID Connect Registration"),
        routes=routes,
        client_metadata=OWN_MEMBERS,
        client_checks=(_check,),
    )
