"""Request objects (RFC 9101, OpenID Connect Core §6): an authorization request signed by the client.

By value (`request`), always; by reference (`request_uri`) where the operator switched that on and the client registered
the very address. What is signed wins over the query; where the client must sign, or says by the type that it means
RFC 9101, the query counts for nothing (§6.3). Never `alg: none`; HS256 for a client that registered it and no other,
and encrypted to a key of ours where the client registered how: signed first all the same.
"""

from typing import Any, Final, Literal
from urllib.parse import urldefrag

import msgspec

from detent.client_auth.assertion import HMAC, signed_with_secret
from detent.client_auth.keys import ClientKeys, has_keys
from detent.core.client import REQUEST_OBJECT_ALG, Client, check_shown_uri
from detent.core.encryption import DEFAULT_ENC, ENCS, OWN_ALGS, Enc, OwnAlg
from detent.core.errors import (
    InvalidClientMetadata,
    InvalidRequestObject,
    InvalidRequestUri,
    TemporarilyUnavailable,
)
from detent.core.exchange import Form
from detent.core.ids import Instant
from detent.ports import Keys
from detent.registry.authorizing import Asked
from detent.registry.feature import Feature
from detent.resource_server.compact import MAX_TOKEN_BYTES, base64url, load_object, parse_compact
from detent.resource_server.errors import InvalidToken, Unavailable
from detent.resource_server.fetch import Fetch
from detent.resource_server.keys import is_kid
from detent.resource_server.verify import Audience, Verifier, instant
from detent.tokens.wanted_keys import provided

ALGS: Final = ("RS256", "PS256", "ES256", "EdDSA")
TYPES: Final = ("", "jwt", "oauth-authz-req+jwt")
TYPE: Final = "oauth-authz-req+jwt"
ENCRYPTION_ALG, ENCRYPTION_ENC = "request_object_encryption_alg", "request_object_encryption_enc"
REQUIRED: Final = "require_signed_request_object"
REQUEST_URIS: Final = "request_uris"
LEEWAY_SECONDS: Final = 10
_OF_THE_TOKEN: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti", "sub"})
_RESOURCES: Final = ("resource", "audience")
_JWE_DOTS: Final = 4  # RFC 7516 §9
_JWE_HEADERS: Final = frozenset({"alg", "enc", "kid", "typ", "cty", "epk", "apu", "apv"})  # nothing compressed, no crit


class RequestObjects:
    parameter = "request"
    checked_before = False
    demand = "This client must sign its requests (RFC 9101): send the parameter request."

    def __init__(self, issuer: str, own: Keys, keys: ClientKeys) -> None:
        self._issuer = issuer
        self._own = own
        self._keys = keys

    def recognises(self, form: Form) -> bool:
        return form.get("request") is not None

    def required_of(self, client: Client) -> bool:
        return client.extra.get(REQUIRED) is True

    async def read(self, form: Form, client: Client, now: Instant) -> Asked:
        return Asked(await self.opened(form.get("request") or "", form, client, now))

    async def opened(self, request: str, form: Form, client: Client, now: Instant) -> Form:
        """The parameters that count. Raises InvalidRequestObject, TemporarilyUnavailable."""
        try:
            request = self._decrypted(request, client)
            claims = await self._authentic(request, client, now)
            self._check(claims, form, client, now)
        except InvalidToken as error:
            raise InvalidRequestObject(f"The request object is refused: {error.reason}.") from None
        signed = _form(claims)
        if self.required_of(client) or TYPE in str(parse_compact(request).header.get("typ")).lower():
            return signed
        rest = {name: value for name, value in form.items() if name not in ("request", "request_uri")}
        return Form({**rest, **signed}, signed.resources or form.resources)

    def _decrypted(self, request: str, client: Client) -> str:
        """The signed object in an encrypted one. Raises InvalidToken."""
        if request.count(".") != _JWE_DOTS:
            return request
        alg, enc = client.extra.get(ENCRYPTION_ALG), client.extra.get(ENCRYPTION_ENC, DEFAULT_ENC)
        header = load_object(base64url(request.partition(".")[0].encode())) or {}
        if alg is None or (header.get("alg"), header.get("enc")) != (alg, enc):
            raise InvalidToken(f"it is encrypted in another way than the client registered ({ENCRYPTION_ALG})")
        kid = header.get("kid")
        if header.keys() - _JWE_HEADERS or not (kid is None or is_kid(kid)) or len(request) > MAX_TOKEN_BYTES:
            raise InvalidToken("its header asks for something that is not supported, or it is too long")
        found = self._own.decrypt(request, alg, enc, kid)
        if found is None:
            raise InvalidToken("it cannot be decrypted with a key of ours; see jwks_uri")
        return found.decode("ascii", "replace")

    async def _authentic(self, request: str, client: Client, now: Instant) -> dict[str, Any]:
        only = client.extra.get(REQUEST_OBJECT_ALG)
        if only in HMAC:
            return signed_with_secret(request, client, self._own, now, TYPES)
        if not has_keys(client):
            raise InvalidToken("this client has no keys to sign with; it can register jwks_uri or jwks")
        verifier = Verifier(client.client_id, Audience.ANY, (only,) if only else ALGS, TYPES)
        try:
            return await self._keys.verified(client, lambda keys: verifier.authentic(request, keys))
        except Unavailable as error:
            raise TemporarilyUnavailable("The keys of this client cannot be had.", detail=error.reason) from None

    def _check(self, claims: dict[str, Any], form: Form, client: Client, now: Instant) -> None:
        """RFC 9101 §4, §5, §10.8; OpenID Connect Core §6.1. Raises InvalidToken."""
        if claims.get("client_id") != client.client_id or claims.get("iss", client.client_id) != client.client_id:
            raise InvalidToken("client_id (and iss) must be the client's")
        if claims.get("sub") == client.client_id:
            raise InvalidToken("sub must not be the client_id: so it would be a client assertion")
        aud = claims.get("aud", self._issuer)
        if self._issuer not in (aud if isinstance(aud, list) else [aud]):
            raise InvalidToken("aud must hold the issuer")
        exp, times = instant(claims, "exp"), (instant(claims, "iat"), instant(claims, "nbf"))
        if (exp is not None and now >= exp) or max(each or 0 for each in times) > now + LEEWAY_SECONDS:
            raise InvalidToken("it has expired, or is not valid yet")
        if "request" in claims or "request_uri" in claims:
            raise InvalidToken("it must not hold another one")
        outside = form.get("response_type")
        if outside is not None and claims.get("response_type", outside) != outside:
            raise InvalidToken("response_type differs from the one in the query")


def _form(claims: dict[str, Any]) -> Form:
    """Parameters of a request, read as those of a form are. Raises InvalidRequestObject."""
    values: dict[str, str] = {}
    resources: dict[str, None] = {}
    for name, value in claims.items():
        if name in _OF_THE_TOKEN or value is None or value == "":
            continue
        if name in _RESOURCES:
            listed = value if isinstance(value, list) else [value]
            resources |= dict.fromkeys(_text(name, each) for each in listed)
        elif name == "claims" and isinstance(value, dict):
            values[name] = msgspec.json.encode(value).decode()
        else:
            values[name] = str(value) if name == "max_age" and type(value) is int else _text(name, value)
    return Form(values, tuple(resources))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidRequestObject(f"The request object's {name[:50]} must be a string.")
    return value


class ReferencedObjects:
    parameter = "request_uri"
    checked_before = False
    demand = ""

    def __init__(self, objects: RequestObjects, fetch: Fetch) -> None:
        self._objects = objects
        self._fetch = fetch

    def recognises(self, form: Form) -> bool:
        return (form.get("request_uri") or "").startswith(("https://", "http://"))

    def required_of(self, client: Client) -> bool:
        return False

    async def read(self, form: Form, client: Client, now: Instant) -> Asked:
        uri = form.get("request_uri") or ""
        if uri not in client.extra.get(REQUEST_URIS, ()):
            raise InvalidRequestUri("This request_uri is not one that the client registered (request_uris).")
        try:
            answer = await self._fetch(urldefrag(uri).url, headers={"accept": f"application/{TYPE}, application/jwt"})
        except Unavailable:
            answer = None
        if answer is None or answer.status != 200:
            raise InvalidRequestUri("Nothing could be read from the request_uri.")
        request = answer.body.decode("ascii", "replace").strip()
        return Asked(await self._objects.opened(request, form, client, now))


async def _check(client: Client) -> None:
    """Raises InvalidClientMetadata."""
    by_secret, alg = client.extra.get(REQUEST_OBJECT_ALG) in HMAC, client.extra.get(ENCRYPTION_ALG)
    if by_secret and not client.has_secret:
        raise InvalidClientMetadata(f"{REQUEST_OBJECT_ALG} HS256 needs a client with a secret.")
    if client.extra.get(REQUIRED) and not (by_secret or has_keys(client)):
        raise InvalidClientMetadata(f"{REQUIRED} needs the client's public keys: jwks_uri or jwks.")
    if alg is None and ENCRYPTION_ENC in client.extra:
        raise InvalidClientMetadata(f"{ENCRYPTION_ENC} says nothing without {ENCRYPTION_ALG}.")
    for uri in client.extra.get(REQUEST_URIS, ()):
        check_shown_uri(uri)


def feature(issuer: str, own: Keys, keys: ClientKeys, fetch: Fetch | None) -> Feature:
    """With `fetch` also by reference."""
    objects = RequestObjects(issuer, own, keys)
    referenced = (ReferencedObjects(objects, fetch),) if fetch else ()
    by_reference = {"require_request_uri_registration": True} if fetch else {}
    return Feature(
        "jar",
        ("RFC 9101", "OpenID Connect Core §6"),
        request_sources=(objects, *referenced),
        metadata={
            "request_object_signing_alg_values_supported": [*ALGS, *HMAC],
            "request_object_encryption_alg_values_supported": list(OWN_ALGS),
            "request_object_encryption_enc_values_supported": list(ENCS),
            **by_reference,
        },
        client_metadata={
            REQUEST_OBJECT_ALG: Literal[(*ALGS, *HMAC)],
            ENCRYPTION_ALG: OwnAlg,
            ENCRYPTION_ENC: Enc,
            REQUIRED: bool,
            REQUEST_URIS: list[str],
        },
        client_checks=(_check, provided(own, ENCRYPTION_ALG)),
        requires=("client-keys",),
    )
