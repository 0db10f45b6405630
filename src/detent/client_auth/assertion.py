"""`private_key_jwt` and `client_secret_jwt` (RFC 7523 §2.2, §3, OpenID Connect Core §9): the client signs who it is.

An assertion is for this server alone, for at most an hour, and counts once: its record is written with what it
obtains. Whom it must name is the client's own choice between two (`client_assertion_audience`): our issuer and nothing
beside it, which no other server can make anybody sign (RFC 7523bis §4), or also the endpoint that it is sent to.
"""

import hashlib
from typing import Any, Final, Literal

from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel
from joserfc.jwk import OctKey

from detent.client_auth.keys import ClientKeys, has_keys
from detent.client_auth.secret import sealed_secrets
from detent.core.base64url import base64url
from detent.core.changes import Record
from detent.core.client import Client
from detent.core.errors import InvalidClient, InvalidClientMetadata, InvalidRequest, TemporarilyUnavailable
from detent.core.exchange import Form, Request
from detent.core.ids import Instant
from detent.core.policy import HOUR
from detent.ports import Keys
from detent.registry.feature import Feature
from detent.registry.requests import Claim, Once
from detent.resource_server.compact import CompactJws, load_object, parse_compact
from detent.resource_server.errors import InvalidToken, Unavailable
from detent.resource_server.verify import Audience, Verifier, instant

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_KIND: Final = "client_assertion"
AUDIENCE: Final = "client_assertion_audience"
SIGNING_ALG: Final = "token_endpoint_auth_signing_alg"
LONGEST_LIFE: Final = HOUR
LEEWAY_SECONDS: Final = 10  # how far `iat` and `nbf` may lie ahead
MAX_JTI_CHARACTERS: Final = 256
TYPES: Final = ("", "jwt", "client-authentication+jwt")
HMAC: Final[dict[str, JWSAlgModel]] = {each.name: each for each in JWS_ALGORITHMS if each.name == "HS256"}

AudienceRule = Literal["issuer", "endpoint"]


class _Assertion:
    method: str
    signing_algs: tuple[str, ...]

    def __init__(self, issuer: str, rule: AudienceRule) -> None:
        self._issuer = issuer
        self._rule = rule

    def claim(self, request: Request, form: Form) -> Claim | None:
        kind, assertion = form.get("client_assertion_type"), form.get("client_assertion")
        if kind is None and assertion is None:
            return None
        if kind != ASSERTION_TYPE or assertion is None:
            raise InvalidRequest(f"Send client_assertion with client_assertion_type={ASSERTION_TYPE} (RFC 7523 2.2).")
        try:
            jws = parse_compact(assertion)
        except InvalidToken as error:
            raise refused(error.reason) from None
        if (jws.header.get("alg") in HMAC) is not (self.method == "client_secret_jwt"):
            return None
        subject = (load_object(jws.payload) or {}).get("sub")
        if not isinstance(subject, str) or not subject:
            raise refused("sub must be the client_id")
        return Claim(subject, self.method, assertion, request.path)

    async def proves(self, claim: Claim, client: Client | None, now: Instant) -> tuple[Once, ...] | None:
        if client is None or client.token_endpoint_auth_method != self.method:
            return None
        only = client.extra.get(SIGNING_ALG)
        try:
            claims = await self._authentic(claim.secret, client, (only,) if only else self.signing_algs, now)
            return (self._once(claims, client, claim.path, now),)
        except InvalidToken as error:
            raise refused(error.reason) from None

    async def _authentic(self, assertion: str, client: Client, algs: tuple[str, ...], now: Instant) -> dict[str, Any]:
        """The claims, if the client signed them. Raises InvalidToken, TemporarilyUnavailable."""
        raise NotImplementedError

    def _once(self, claims: dict[str, Any], client: Client, path: str, now: Instant) -> Once:
        """RFC 7523 §3. Raises InvalidToken."""
        if not claims.get("iss") == claims.get("sub") == client.client_id:
            raise InvalidToken("iss and sub must both be the client_id")
        self._check_audience(claims.get("aud"), client, path)
        exp, iat, nbf = instant(claims, "exp"), instant(claims, "iat"), instant(claims, "nbf")
        if exp is None or now >= exp:
            raise InvalidToken("exp is missing, or it has expired")
        if exp > now + LONGEST_LIFE + LEEWAY_SECONDS:
            raise InvalidToken(f"exp lies more than {LONGEST_LIFE} seconds ahead")
        if max(iat or 0, nbf or 0) > now + LEEWAY_SECONDS:
            raise InvalidToken("iat or nbf lies in the future, so a clock must be wrong")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI_CHARACTERS:
            raise InvalidToken(f"jti must be a string of at most {MAX_JTI_CHARACTERS} characters")
        named = hashlib.sha256(f"{client.client_id}\0{jti}".encode()).digest()
        key = base64url(named)
        spent = refused("it was used before; make a new one for each request")
        return Once(Record(ASSERTION_KIND, key, b"", Instant(int(exp) + 1)), spent)

    def _check_audience(self, aud: Any, client: Client, path: str) -> None:
        if client.extra.get(AUDIENCE, self._rule) == "issuer":
            if aud != self._issuer:
                raise InvalidToken("aud must be the issuer, as one string")
            return
        ours = {self._issuer, *(self._issuer + each.removeprefix("/") for each in ("/oauth/token", path))}
        named = [aud] if isinstance(aud, str) else aud
        if not isinstance(named, list) or not named or not all(isinstance(n, str) and n in ours for n in named):
            raise InvalidToken("aud must be the issuer or the URL of the endpoint, and nobody beside")


class PrivateKeyJwt(_Assertion):
    method = "private_key_jwt"
    signing_algs = ("RS256", "PS256", "ES256", "EdDSA")

    def __init__(self, issuer: str, rule: AudienceRule, keys: ClientKeys) -> None:
        super().__init__(issuer, rule)
        self._keys = keys

    async def _authentic(self, assertion: str, client: Client, algs: tuple[str, ...], now: Instant) -> dict[str, Any]:
        verifier = Verifier(client.client_id, Audience.ANY, algs, TYPES)
        try:
            return await self._keys.verified(client, lambda keys: verifier.authentic(assertion, keys))
        except Unavailable as error:
            description = "The keys of this client cannot be had just now; see its jwks_uri."
            raise TemporarilyUnavailable(description, detail=error.reason, retry_after=10) from None


class ClientSecretJwt(_Assertion):
    method = "client_secret_jwt"
    signing_algs = tuple(HMAC)

    def __init__(self, issuer: str, rule: AudienceRule, keys: Keys) -> None:
        super().__init__(issuer, rule)
        self._keys = keys

    async def _authentic(self, assertion: str, client: Client, algs: tuple[str, ...], now: Instant) -> dict[str, Any]:
        return signed_with_secret(assertion, client, self._keys, now, TYPES)


def signed_with_secret(token: str, client: Client, keys: Keys, now: Instant, types: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a JWT that this client signed with a secret of its own. Raises InvalidToken."""
    jws = parse_compact(token)
    Verifier(client.client_id, Audience.ANY, types=types).check_header(jws.header, HMAC)
    if not any(_verifies(jws, secret) for secret in sealed_secrets(client, keys, now)):
        raise InvalidToken("the signature does not verify")
    claims = load_object(jws.payload)
    if claims is None:
        raise InvalidToken("the payload is not a plain JSON object")
    return claims


def _verifies(jws: CompactJws, secret: str) -> bool:
    return HMAC[jws.header["alg"]].verify(jws.signing_input, jws.signature, OctKey.import_key(secret))


def refused(reason: str) -> InvalidClient:
    return InvalidClient(f"The client assertion is refused: {reason}.")


async def _check(client: Client) -> None:
    """Raises InvalidClientMetadata."""
    method, alg = client.token_endpoint_auth_method, client.extra.get(SIGNING_ALG)
    if method == "private_key_jwt" and not has_keys(client):
        raise InvalidClientMetadata("private_key_jwt needs the client's public keys: jwks_uri or jwks (RFC 7591 2).")
    fitting = {"private_key_jwt": PrivateKeyJwt.signing_algs, "client_secret_jwt": ClientSecretJwt.signing_algs}
    if alg is not None and alg not in fitting.get(method, ()):
        raise InvalidClientMetadata(f"{SIGNING_ALG} {alg} does not fit the method {method}.")


def feature(issuer: str, rule: AudienceRule, keys: Keys, client_keys: ClientKeys) -> Feature:
    """`rule` is for clients that do not choose their own."""
    algs = (*PrivateKeyJwt.signing_algs, *ClientSecretJwt.signing_algs)
    return Feature(
        "client-assertions",
        ("RFC 7521", "RFC 7523", "OpenID Connect Core §9"),
        client_auth=(PrivateKeyJwt(issuer, rule, client_keys), ClientSecretJwt(issuer, rule, keys)),
        client_metadata={SIGNING_ALG: Literal[algs], AUDIENCE: AudienceRule},
        client_checks=(_check,),
        requires=("client-keys",),
    )
