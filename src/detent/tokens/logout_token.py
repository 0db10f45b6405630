"""Logout tokens: the JWT that tells an app whose session is over.

Source: OpenID Connect Back-Channel Logout 1.0 §2.4. Signed, and encrypted, as the app's ID tokens are; `sub` and `sid`
are the person and the session as this app knows them. `typ` keeps it from being taken for anything else (RFC 8725
§3.11), and so does the `nonce` that it must not have. When one is sent, and to whom, is up to detent.webhooks.
"""

from collections.abc import Sequence
from typing import Any, Final

from detent.core.api import SigningAlg
from detent.core.client import ID_TOKEN_ALG, Client
from detent.core.ids import Instant, Seconds, Subject
from detent.ports import Entropy, Keys
from detent.registry.tokens import Envelope, wrapped
from detent.tokens.disclosure import Disclosure
from detent.tokens.id_token import DEFAULT_ALG

LOGOUT_TOKEN_LIFE: Final = Seconds(120)  # §2.4: "at most two minutes in the future"
TYP: Final = "logout+jwt"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


class LogoutTokens:
    def __init__(
        self, issuer: str, keys: Keys, disclosure: Disclosure, envelopes: Sequence[Envelope], entropy: Entropy
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._disclosure = disclosure
        self._envelopes = envelopes
        self._entropy = entropy

    async def of(self, subject: Subject, sid: str, client: Client, now: Instant) -> str:
        """Raises OAuthError where the app's subject type or keys cannot be had just now."""
        alg: SigningAlg = client.extra.get(ID_TOKEN_ALG, DEFAULT_ALG)
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": self._disclosure.subject(subject, client),
            "aud": client.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_LIFE,
            "jti": self._entropy.token_bytes(16).hex(),
            "sid": self._disclosure.sid(sid, client),
            "events": {EVENT: {}},
        }
        return await wrapped(await self._keys.sign(alg, TYP, claims), client, "id_token", self._envelopes)
