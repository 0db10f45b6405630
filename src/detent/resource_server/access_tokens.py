"""Is this access token good here, whatever its format? For what is no ASGI guard: an MCP server, a worker, a socket.

A JWT is verified here and, if asked for, looked up in the issuer's status lists; anything else is asked about.
Leaves: how a token arrives and how it is refused over HTTP to asgi.py, possession of a key to dpop.py.

    tokens = AccessTokens(verifier=Verifier(issuer=issuer, audience=audience), jwks=jwks)
    claims = await tokens.bearer(token)
"""

import time
from collections.abc import Callable

from detent.resource_server.errors import InvalidToken, UnknownKey
from detent.resource_server.introspect import Introspector
from detent.resource_server.jwks import KeySource
from detent.resource_server.seen import SeenTokens
from detent.resource_server.status_list import StatusLists
from detent.resource_server.verify import Claims, Verifier


class AccessTokens:
    """`jwks` checks JWTs here, and `status_lists`, if given, whether they were ended since; `introspection`, if given,
    is asked about all other tokens.

    `opaque_prefix` and `refresh_prefix` begin detent's own handles; a refresh token is refused unasked. `clock` tells
    seconds since the epoch.
    """

    def __init__(
        self,
        *,
        verifier: Verifier,
        jwks: KeySource,
        introspection: Introspector | None = None,
        status_lists: StatusLists | None = None,
        opaque_prefix: str = "dtat_",
        refresh_prefix: str = "dtrt_",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seen = SeenTokens(verifier)
        self._jwks = jwks
        self._introspection = introspection
        self._status_lists = status_lists
        self._opaque_prefix = opaque_prefix
        self._refresh_prefix = refresh_prefix
        self._clock = clock

    async def bearer(self, token: str) -> Claims:
        """What a token says that is good without a key. Raises InvalidToken, Unavailable."""
        claims = await self.claims(token)
        if claims.cnf is not None:
            raise InvalidToken("it is bound to a key and was presented without proof")
        return claims

    async def claims(self, token: str) -> Claims:
        """What it says; with a `cnf` it is worth nothing until possession of that key is proved.

        Raises InvalidToken, and Unavailable where it could not be checked just now."""
        if token.startswith(self._refresh_prefix):
            raise InvalidToken("it is a refresh token")
        if token.startswith(self._opaque_prefix) or token.count(".") != 2:
            if self._introspection is None:
                raise InvalidToken("opaque tokens are not accepted here")
            return await self._introspection.claims(token)
        verified = await self._verified(token)
        if self._status_lists:
            await self._status_lists.check(verified)
        return verified

    async def _verified(self, token: str) -> Claims:
        keys = await self._jwks.keys()
        try:
            return self._seen.verify(token, keys, self._clock())
        except UnknownKey:
            keys = await self._jwks.newer(keys)
        return self._seen.verify(token, keys, self._clock())
