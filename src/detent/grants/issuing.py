"""From an authorization to the tokens of an answer; shared by every grant that has a person behind it.

Rule: everything is minted before the one write, so a failure leaves the store as it was (RFC 6749 §5.2).
"""

from typing import Any

import msgspec

from detent.core.api import Api, Target, target, within
from detent.core.authorization import Authorization, Epochs, PendingAuthorization
from detent.core.changes import Changes, EndFamilies, InsertFamily, Part
from detent.core.claims import wants_id_token
from detent.core.client import Client
from detent.core.errors import InvalidTarget
from detent.core.exchange import Form, TokenResponse
from detent.core.family import Ahead, Family, Surroundings, born, with_first_handle
from detent.core.ids import FamilyKey, Instant, Subject, placement_of
from detent.core.people import User, claims_for
from detent.core.scope import Scope
from detent.ports import Entropy, Store
from detent.registry import TokenRequest
from detent.tokens.handle import Handles
from detent.tokens.mint import Mint

REFRESH_TOKEN = "refresh_token"


class Issuing:
    def __init__(self, store: Store, handles: Handles, mint: Mint, entropy: Entropy, ahead: Ahead = "refuse") -> None:
        self.store = store
        self.handles = handles
        self.mint = mint
        self._entropy = entropy
        self._ahead = ahead

    def new_key(self, subject: Subject) -> FamilyKey:
        return FamilyKey(placement_of(subject), self._entropy.token_bytes(16))

    async def apis(self, identifiers: tuple[str, ...]) -> tuple[Api, ...]:
        """The registered APIs of these names. Raises InvalidTarget for an unknown one (RFC 8707 §2)."""
        apis = [await self.store.api(identifier) for identifier in identifiers]
        known = tuple(api for api in apis if api is not None)
        if len(known) < len(apis):
            raise InvalidTarget("The audience or resource asked for is not an API of this server.")
        return known

    async def asked_apis(self, form: Form, client: Client) -> tuple[Api, ...]:
        """The APIs that the request names, or the client's default."""
        default = (client.default_audience,) if client.default_audience else ()
        return await self.apis(form.resources or default)

    async def target(self, asked: tuple[str, ...], authorization: Authorization, scope: Scope) -> Target:
        """What of a granted authorization this one access token is for; all of it unless the request says."""
        known = {identifier: await self.store.api(identifier) for identifier in authorization.audience}
        existing = {identifier: api for identifier, api in known.items() if api is not None}
        return target(within(asked or tuple(existing), authorization.audience, existing), scope)

    async def surroundings(self, client: Client, user_epoch: int, *, session_over: bool = False) -> Surroundings:
        store = await self.store.installation()
        epochs = Epochs(user_epoch, client.epoch, store.server_epoch)
        return Surroundings(epochs, store.restore_epoch, self.handles.current_key, self._ahead, session_over)

    async def begin(
        self, request: TokenRequest, pending: PendingAuthorization, user: User, *, until: Instant | None = None
    ) -> TokenResponse:
        """A new family and its first tokens, in one commit; `until` is the end of the session that it ends with.

        Raises Conflict if the key was begun before.
        """
        client = request.client
        around = await self.surroundings(client, user.epoch)
        authorization = msgspec.structs.replace(
            pending.authorization, created_at=request.now, cnf=request.proved, epochs=around.epochs
        )
        wanted = await self.target(request.form.resources, authorization, authorization.scope)
        policy = client.policy
        absolute_until = Instant(request.now + policy.absolute)
        family = born(pending.key, authorization, min(absolute_until, until or absolute_until), request.origin)
        if REFRESH_TOKEN in client.grant_types:
            family = with_first_handle(family, policy, around, self._entropy.token_bytes(32))
        answer = self.answer(
            family, wanted, client, request.now, person=claims_for(user, wanted.scope), nonce=pending.nonce
        )
        parts: tuple[Part, ...] = (InsertFamily(family),)
        if policy.on_reuse == "suspect":
            whose = (pending.key.placement, user.subject)
            parts += (EndFamilies(*whose, "suspected", which="suspected", client_id=client.client_id),)
        await self.store.apply(Changes(parts, family.history))
        return answer

    def answer(
        self,
        family: Family,
        wanted: Target,
        client: Client,
        now: Instant,
        *,
        person: dict[str, Any],
        nonce: str | None = None,
        with_refresh_token: bool = True,
    ) -> TokenResponse:
        """Every token of one answer; an ID token whenever `openid` was granted, on a refresh too (OIDC §12.2)."""
        access_token, lifetime = self.mint.access_token(wanted, client, now, family=family)
        authorization = family.authorization
        has_handle = with_refresh_token and family.generation > 0
        return TokenResponse(
            access_token=access_token,
            token_type=authorization.cnf.token_type,
            expires_in=lifetime,
            scope=" ".join(wanted.scope),
            refresh_token=self.handles.refresh_token(family) if has_handle else None,
            id_token=self.mint.id_token(authorization, person, now, nonce)
            if wants_id_token(authorization.scope)
            else None,
        )
