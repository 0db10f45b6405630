"""Software statements (RFC 7591 §2.3): what somebody whom the operator trusts says of a piece of software, signed.

Which issuers those are, and where their keys are, is configured; nobody else's word counts.
"""

from collections.abc import Mapping
from typing import Any, Final

from detent.core.errors import InvalidSoftwareStatement, TemporarilyUnavailable, UnapprovedSoftwareStatement
from detent.core.ids import Instant
from detent.ports import Clock
from detent.resource_server.compact import load_object, parse_compact
from detent.resource_server.errors import InvalidToken, Unavailable, UnknownKey
from detent.resource_server.fetch import Fetch
from detent.resource_server.jwks import JwksCache
from detent.resource_server.verify import Audience, Verifier, instant

ALGS: Final = ("RS256", "PS256", "ES256", "EdDSA")
PAUSE_SECONDS: Final = 60
_OF_THE_TOKEN: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "software_statement"})


class SoftwareStatements:
    """`issuers`: where the keys of each are."""

    def __init__(self, issuers: Mapping[str, str], fetch: Fetch, clock: Clock) -> None:
        self._sources = {
            issuer: JwksCache(url, fetch=fetch, clock=clock.now, pause_seconds=PAUSE_SECONDS)
            for issuer, url in issuers.items()
        }

    async def opened(self, statement: str, now: Instant) -> dict[str, Any]:
        """The metadata that it holds. Raises InvalidSoftwareStatement, UnapprovedSoftwareStatement."""
        try:
            return await self._opened(statement, now)
        except InvalidToken as error:
            raise InvalidSoftwareStatement(f"The software statement is refused: {error.reason}.") from None
        except Unavailable as error:
            description = "The keys of the software statement's issuer cannot be had just now."
            raise TemporarilyUnavailable(description, detail=error.reason, retry_after=10) from None

    async def _opened(self, statement: str, now: Instant) -> dict[str, Any]:
        issuer = (load_object(parse_compact(statement).payload) or {}).get("iss")
        source = self._sources.get(issuer) if isinstance(issuer, str) else None
        if source is None:
            raise UnapprovedSoftwareStatement("This server takes no software statements of that issuer.")
        verifier = Verifier(str(issuer), Audience.ANY, ALGS, ("", "jwt"))
        keys = await source.keys()
        try:
            claims = verifier.authentic(statement, keys)
        except UnknownKey:
            claims = verifier.authentic(statement, await source.newer(keys))
        exp, nbf = instant(claims, "exp"), instant(claims, "nbf")
        if (exp is not None and now >= exp) or (nbf or 0) > now:
            raise InvalidToken("it has expired, or is not valid yet")
        return {name: value for name, value in claims.items() if name not in _OF_THE_TOKEN}
