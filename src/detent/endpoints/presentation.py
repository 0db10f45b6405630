"""An access token that is presented at an endpoint of ours: in which scheme, and with the key that it is bound to.

Source: RFC 6750 §2.1, RFC 9449 §7. Whether the token is alive is tokens/access.py; what a proof must say is up to the
registered kinds of possession.
"""

from collections.abc import Mapping

import msgspec

from detent.core.confirmation import BEARER, Confirmation
from detent.core.errors import InvalidToken, OAuthError
from detent.core.exchange import Request
from detent.core.ids import Instant
from detent.grants.commit import commit
from detent.ports import Store
from detent.registry.requests import Possession, Proved
from detent.tokens.access import LiveAccessToken
from detent.web.bearer import presented_token
from detent.web.respond import BEARER_CHALLENGE, MissingToken


class Presented(msgspec.Struct, frozen=True):
    """`scheme` is in lower case; `challenge` is what WWW-Authenticate says of it."""

    scheme: str
    token: str
    challenge: str

    def __repr__(self) -> str:
        return f"Presented({self.scheme}, ***)"


class Presentation:
    def __init__(self, possession: Mapping[str, Possession], store: Store) -> None:
        self._possession = tuple(possession.values())
        self._store = store
        bound = {each.scheme.lower(): each.challenge for each in self._possession}
        self._challenges = {BEARER.token_type.lower(): BEARER_CHALLENGE, **bound}

    def read(self, request: Request) -> Presented:
        """Raises MissingToken with every challenge there is, or InvalidRequest."""
        try:
            scheme, token = presented_token(request, self._challenges)
        except MissingToken as error:
            raise error.challenged(", ".join(self._challenges.values())) from None
        return Presented(scheme, token, self._challenges[scheme])

    async def check(
        self, request: Request, presented: Presented, live: LiveAccessToken, now: Instant
    ) -> tuple[tuple[str, str], ...]:
        """Headers for the answer. Raises OAuthError, answered 401, unless the token's key was proved, this once."""
        cnf = msgspec.convert(live.claims.get("cnf", {}), Confirmation)
        scheme = cnf.token_type.lower()
        challenge = self._challenges.get(scheme, BEARER_CHALLENGE)
        if presented.scheme != scheme:
            bound = "bound to a key: send it with the proof of that" if presented.scheme == "bearer" else "not bound"
            raise InvalidToken(f"The access token is {bound}.").challenged(challenge)
        if cnf.is_bearer:
            return ()
        try:
            proved = await self._proved(request, presented.token, now)
            if not cnf.accepts(proved.cnf):
                raise InvalidToken("The access token is bound to another key than the request proved.")
            await commit(self._store, proved.once)
        except OAuthError as error:
            raise error.challenged(challenge) from None
        return proved.headers

    async def _proved(self, request: Request, token: str, now: Instant) -> Proved:
        for possession in self._possession:
            if proved := await possession.present(request, token, now):
                return proved
        return Proved()
