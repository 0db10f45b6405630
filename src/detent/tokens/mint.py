"""Mints access tokens, always before the write.

Rule: no token outlives the absolute end of what it comes from, and none says more than its target allows.
"""

from collections.abc import Mapping
from typing import Any, Final

from detent.core.api import SigningAlg, Target
from detent.core.authorization import Authorization, Epochs
from detent.core.base64url import base64url
from detent.core.claims import access_claims
from detent.core.client import Client
from detent.core.confirmation import Confirmation
from detent.core.family import Family
from detent.core.ids import Instant, Seconds
from detent.ports import Entropy
from detent.registry.tokens import Mark, TokenFormat
from detent.tokens.disclosure import Disclosure

USERINFO_ONLY: Final[tuple[str, SigningAlg]] = ("jwt", "RS256")  # the token of a request that names no API


class Mint:
    def __init__(
        self,
        issuer: str,
        formats: Mapping[str, TokenFormat],
        marks: Mapping[str, Mark],
        disclosure: Disclosure,
        entropy: Entropy,
    ) -> None:
        self.issuer = issuer
        self._formats = formats
        self._marks = marks
        self._disclosure = disclosure
        self._entropy = entropy

    async def access_token(
        self,
        target: Target,
        client: Client,
        now: Instant,
        *,
        cnf: Confirmation,
        family: Family | None = None,
        epochs: Epochs = Epochs(),
    ) -> tuple[str, Seconds]:
        """An access token bound to `cnf`, and the seconds it lives.

        Without a family it is the client's own (client_credentials), and `epochs` are the cut-offs it is issued under.
        """
        lives = [client.policy.access_life, *(api.access_life for api in target.apis if api.access_life)]
        expires_at = Instant(now + min(lives))
        if family:
            expires_at = min(expires_at, family.absolute_until)
        jti = base64url(self._entropy.token_bytes(15))
        claims = access_claims(
            self.issuer,
            target,
            client.client_id,
            now=now,
            expires_at=expires_at,
            jti=jti,
            cnf=cnf,
            sub=self._disclosure.subject(family.authorization.subject, client) if family else client.client_id,
            sid=self._disclosure.sid(family.authorization.session_id, client) if family else None,
            family=family,
            epochs=epochs,
        )
        name, alg = (target.apis[0].token_format, target.apis[0].signing_alg) if target.apis else USERINFO_ONLY
        token_format = self._formats[name]
        if family and token_format.self_contained:
            claims |= self._marked(family.authorization)
        return await token_format.mint(claims, alg), Seconds(expires_at - now)

    def _marked(self, authorization: Authorization) -> dict[str, Any]:
        marks = self._marks.items()
        return {claim: value for claim, mark in marks if (value := mark.told(authorization)) is not None}
