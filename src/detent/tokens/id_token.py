"""ID tokens: made for a client, and read when one comes back as `id_token_hint`.

Source: OpenID Connect Core §2, §3.1.3.6 (`at_hash`), §3.1.2.1 and OpenID Connect RP-Initiated Logout §2 (hints). A
hint may have expired long ago: it is believed for what it says of the past, and signs nobody in. What is said of the
person is disclosure.py; what an ID token is wrapped in, the registered envelopes.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from detent.core.api import SIGNING_ALGS, SigningAlg
from detent.core.authorization import Authorization
from detent.core.base64url import base64url
from detent.core.claims import id_claims
from detent.core.client import ID_TOKEN_ALG, Client
from detent.core.ids import ClientId, Instant, Seconds
from detent.core.people import User
from detent.core.policy import HOUR
from detent.ports import Keys
from detent.registry.tokens import Envelope, wrapped
from detent.resource_server.verify import Audience, Verifier
from detent.tokens.disclosure import Disclosure
from detent.tokens.own import OwnTokens, said

ID_TOKEN_LIFE: Final = Seconds(HOUR)
DEFAULT_ALG: Final[SigningAlg] = "RS256"


class IdTokens:
    def __init__(self, issuer: str, keys: Keys, disclosure: Disclosure, envelopes: Sequence[Envelope]) -> None:
        self._issuer = issuer
        self._keys = keys
        self._disclosure = disclosure
        self._envelopes = envelopes

    async def of(
        self,
        authorization: Authorization,
        client: Client,
        now: Instant,
        *,
        access_token: str,
        nonce: str | None = None,
        user: User | None = None,
    ) -> str:
        """The ID token beside `access_token`; `user` is the person, if already read."""
        alg: SigningAlg = client.extra.get(ID_TOKEN_ALG, DEFAULT_ALG)
        claims = id_claims(
            self._issuer,
            authorization,
            self._disclosure.subject(authorization.subject, client),
            self._disclosure.sid(authorization.session_id, client),
            await self._disclosure.person(authorization, client, authorization.scope, "id_token", user),
            now=now,
            expires_at=Instant(now + ID_TOKEN_LIFE),
            at_hash=at_hash(access_token, alg),
            nonce=nonce,
        )
        return await wrapped(await self._keys.sign(alg, "JWT", claims), client, "id_token", self._envelopes)


def at_hash(access_token: str, alg: SigningAlg) -> str:
    """OpenID Connect Core §3.1.3.6: the left half of the hash that the signature uses; Ed25519 uses SHA-512."""
    digest = (hashlib.sha512 if alg == "EdDSA" else hashlib.sha256)(access_token.encode()).digest()
    return base64url(digest[: len(digest) // 2])


class Hint(msgspec.Struct, frozen=True):
    """`sub` and `sid` are the person and the session as this client knows them."""

    sub: str
    client_id: ClientId
    sid: str | None


class Hints:
    def __init__(self, issuer: str, keys: Keys) -> None:
        verifier = Verifier(issuer, Audience.ANY, SIGNING_ALGS, types=("jwt",), required=("azp",))
        self._own = OwnTokens(keys, verifier)

    def read(self, id_token: str) -> Hint | None:
        """What an ID token of ours says, expired or not; None for anything else."""
        claims = self._own.read(id_token, _issued_at(id_token))
        if claims is None:
            return None
        sid = claims.raw.get("sid")
        return Hint(claims.sub, ClientId(claims.raw["azp"]), sid if isinstance(sid, str) else None)


def _issued_at(token: str) -> float:
    """Checked as of when it was made; the signature then says that it was us."""
    issued_at = (said(token) or {}).get("iat")
    return issued_at if type(issued_at) is int else 0
