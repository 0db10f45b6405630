"""Is this access token of ours good right now? Asked by introspection, userinfo and revocation.

An API that verifies alone sees signature and time; this also sees the family's end, cut-offs and revoked tokens
(RFC 7662 §2.2). Rule: whatever is uncertain is not active; a store that cannot answer raises.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detent.core.authorization import Epochs
from detent.core.changes import Changes, InsertRecord, Record, RecordName
from detent.core.client import Client
from detent.core.errors import Conflict
from detent.core.family import Family
from detent.core.ids import FamilyKey, Instant
from detent.ports import Store
from detent.registry.tokens import TokenFormat

REVOKED_KIND: Final = "revoked_access_token"


class LiveAccessToken(msgspec.Struct, frozen=True):
    claims: Mapping[str, Any]
    client: Client
    family: Family | None


class AccessTokens:
    def __init__(self, formats: Mapping[str, TokenFormat], store: Store) -> None:
        self._formats = formats
        self._store = store

    def read(self, token: str, now: Instant, audience: str | None = None) -> Mapping[str, Any] | None:
        """The claims of an authentic, unexpired token; no I/O."""
        for token_format in self._formats.values():
            if token_format.recognises(token):
                return token_format.read(token, audience, now)
        return None

    def recognises(self, token: str) -> bool:
        """Whether it has the form of an access token."""
        return any(token_format.recognises(token) for token_format in self._formats.values())

    def said(self, token: str) -> Mapping[str, Any] | None:
        """What a token claims, expired or not, which of a JWT proves nothing; None if it is no access token."""
        for token_format in self._formats.values():
            if token_format.recognises(token):
                return token_format.said(token)
        return None

    async def live(self, token: str, now: Instant, audience: str | None = None) -> LiveAccessToken | None:
        """The token, if nothing has ended it; else None."""
        claims = self.read(token, now, audience)
        if claims is None:
            return None
        client = await self._store.client(claims["client_id"])
        if client is None or not client.enabled:
            return None
        revoked = (REVOKED_KIND, claims["jti"])
        if "authorization_id" not in claims:
            if await self._store.record(*revoked):
                return None
            issued_under = Epochs(0, *claims.get("epochs", ()))
            cut_off = issued_under.behind(await present_epochs(self._store, client, 0))
            return None if cut_off else LiveAccessToken(claims, client, None)
        family = await self._live_family(claims["authorization_id"], revoked, client, now)
        return LiveAccessToken(claims, client, family) if family else None

    async def revoke(self, claims: Mapping[str, Any]) -> None:
        """End this one token (RFC 7009 §2.1); its family, if any, goes on. Once revoked it stays so."""
        record = Record(REVOKED_KIND, claims["jti"], b"", Instant(claims["exp"]))
        try:
            await self._store.apply(Changes((InsertRecord(record),)))
        except Conflict:
            return

    async def _live_family(
        self, authorization_id: str, revoked: RecordName, client: Client, now: Instant
    ) -> Family | None:
        key = FamilyKey.parse(authorization_id)
        found = await self._store.family(key, unless=revoked) if key else None
        if found is None or found.family.status != "live" or found.session_over(now):
            return None
        present = await present_epochs(self._store, client, found.user_epoch)
        return None if found.family.authorization.epochs.behind(present) else found.family


async def present_epochs(store: Store, client: Client, user_epoch: int) -> Epochs:
    """The cut-offs now in force for what this client holds of this person."""
    return Epochs(user_epoch, client.epoch, (await store.installation()).server_epoch)
