"""What all strategies for JWT refresh tokens have in common: the order of checks, and the answer.

Order, as for families: signature → client → row of the authorization (its end, cut-offs, session) → key binding →
what the strategy itself remembers → scope and target; everything is minted before the one write. Scope comes from
what was granted and never from the token, so narrowing does not stick (RFC 6749 §6).
"""

from contextlib import suppress
from typing import Any, NoReturn

import msgspec

from detent.core.base64url import base64url
from detent.core.changes import Changes, Part
from detent.core.client import Client
from detent.core.errors import Conflict, InvalidGrant
from detent.core.exchange import TokenResponse
from detent.core.family import Family, why_over
from detent.core.ids import FamilyKey, Instant, Subject
from detent.core.session import SessionPolicy
from detent.grants.commit import commit
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.grants.refresh_token import REFUSED, session_used
from detent.ports import Entropy, FoundFamily
from detent.registry.requests import TokenRequest
from detent.registry.tokens import Issued
from detent.tokens.refresh_jwt import RefreshClaims, RefreshJwts, beginning


class Common(msgspec.Struct, frozen=True):
    """What each of them is built on."""

    issuing: Issuing
    ending: Ending
    jwts: RefreshJwts
    entropy: Entropy
    session_policy: SessionPolicy


class Proved(msgspec.Struct, frozen=True):
    """A token whose signature is good, the authorization that it names, and the secret in its key."""

    claims: RefreshClaims
    found: FoundFamily
    secret: bytes = b""

    def __repr__(self) -> str:
        return f"Proved({self.claims.authorization_id}, secret=***)"


class JwtStrategy:
    """A strategy overrides what it adds; by itself this one remembers nothing of a token."""

    name = ""
    told = ""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.store = common.issuing.store
        self._beginning = beginning(self.name)

    # What a strategy adds

    async def begun(self, family: Family, first: RefreshClaims) -> tuple[Part, ...]:
        """What to write with a sign-in."""
        return ()

    async def spent(self, old: RefreshClaims, new: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        """What to write when `old` is redeemed for `new`. Raises InvalidGrant where `old` is good no more."""
        return ()

    async def ended(self, token: RefreshClaims, now: Instant) -> tuple[Part, ...]:
        """What to write when this token is revoked; the row of its authorization has been ended."""
        return ()

    async def secret(self, subject: Subject, user_epoch: int, now: Instant) -> tuple[bytes, tuple[Part, ...]]:
        """What goes into the key that signs for this person, and what to write if it is new."""
        return b"", ()

    async def proved(self, token: str, now: Instant) -> Proved | None:
        """Garbage ends on the signature, before any database access."""
        claims = self.common.jwts.read(self.name, token, now)
        found = await self.found(claims) if claims else None
        return Proved(claims, found) if claims and found else None

    async def found(self, claims: RefreshClaims) -> FoundFamily | None:
        """The row of the authorization, with the person's cut-off and session from the same read."""
        key = claims.key
        return await self.store.family(key) if key else None

    def claims(self, family: Family, client: Client, restore_epoch: int, now: Instant) -> RefreshClaims:
        """The next token of this authorization: a value of its own, even within one second."""
        granted = family.authorization
        return RefreshClaims(
            self.common.jwts.issuer,
            granted.subject,
            granted.client_id,
            family.key.text,
            now,
            exp=min(Instant(now + client.policy.idle), family.absolute_until),
            jti=base64url(self.common.entropy.token_bytes(15)),
            restore_epoch=restore_epoch,
        )

    # The protocol (registry.RefreshStrategy)

    def recognises(self, token: str) -> bool:
        return token.startswith(self._beginning)

    def family_of(self, token: str) -> FamilyKey | None:
        said = self.common.jwts.unproved(token)
        return said.key if said else None

    async def issue(self, family: Family, client: Client, now: Instant) -> Issued:
        granted = family.authorization
        secret, parts = await self.secret(granted.subject, granted.epochs.user, now)
        first = self.claims(family, client, (await self.store.installation()).restore_epoch, now)
        token = self.common.jwts.sign(self.name, first, secret)
        return Issued(token, (*parts, *await self.begun(family, first)))

    async def redeem(self, token: str, request: TokenRequest) -> TokenResponse:
        common, client, now = self.common, request.client, request.now
        proved = await self.proved(token, now)
        if proved is None:
            refuse("no token of ours that is still alive")
        restore_epoch = await self._check(proved, client, now)
        if not proved.found.family.authorization.cnf.accepts(request.proved):
            refuse("bound to another key")
        family = proved.found.family
        new = self.claims(family, client, restore_epoch, now)
        parts = await self.spent(proved.claims, new, now)
        wanted = await common.issuing.narrowed(family.authorization, request.form)
        answer = await common.issuing.answer(family, wanted, request)
        successor = common.jwts.sign(self.name, new, proved.secret)
        await self._write(request, (*parts, *session_used(proved.found, common.session_policy, now)))
        return msgspec.structs.replace(answer, refresh_token=successor)

    async def revoke(self, token: str, request: TokenRequest) -> None:
        """The authorization's row first, so that nothing outlives a crash in between."""
        proved = await self.proved(token, request.now)
        key = proved.claims.key if proved else None
        if proved is None or key is None or proved.claims.client_id != request.client.client_id:
            return
        await self.common.ending.end(key, "client", request.now, origin=request.origin, support_id=request.support_id)
        if parts := await self.ended(proved.claims, request.now):
            with suppress(Conflict):  # redeemed or revoked at the same moment: what came of it ended with the row
                await self.store.apply(Changes(parts))

    async def introspect(self, token: str, client: Client, now: Instant) -> dict[str, Any] | None:
        proved = await self.proved(token, now)
        if proved is None:
            return None
        claims, granted = proved.claims, proved.found.family.authorization
        try:
            await self._check(proved, client, now)
            await self.spent(claims, claims, now)  # what it would write is left
        except InvalidGrant:
            return None
        return {
            "client_id": claims.client_id,
            "sub": claims.sub,
            "scope": " ".join(granted.scope),
            "iat": claims.iat,
            "exp": claims.exp,
        }

    # Steps

    async def _check(self, proved: Proved, client: Client, now: Instant) -> int:
        """Client and life: the store's restore epoch if all is well. Raises InvalidGrant."""
        claims, found = proved.claims, proved.found
        granted = found.family.authorization
        if client.refresh_strategy != self.name:
            refuse("the client has chosen another strategy since")
        if not claims.client_id == granted.client_id == client.client_id or claims.sub != granted.subject:
            refuse("issued to another client")
        over = found.session_over(now)
        around = await self.common.issuing.surroundings(client, found.user_epoch, session_over=over)
        if reason := why_over(found.family, around.epochs, now, session_over=over):
            refuse(reason)
        if claims.restore_epoch != around.store_epoch:
            refuse("the store was restored since: it may have lost what ended this token")
        return around.store_epoch

    async def _write(self, request: TokenRequest, parts: tuple[Part, ...]) -> None:
        try:
            await commit(self.store, request.once, parts)
        except Conflict:
            refuse("spent at the same moment")


def refuse(detail: str) -> NoReturn:
    raise InvalidGrant(REFUSED, detail=detail)
