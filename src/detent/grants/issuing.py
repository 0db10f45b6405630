"""From an authorization to the tokens of an answer; shared by every grant that has a person behind it.

Rule: everything is minted before the one write, so a failure leaves the store as it was (RFC 6749 §5.2).
"""

from collections.abc import Mapping

import msgspec

from detent.core.api import Api, Target, granted, is_identifier, target, within
from detent.core.authorization import Authorization, Epochs, PendingAuthorization
from detent.core.changes import EndFamilies, InsertFamily, Part
from detent.core.claims import wants_id_token
from detent.core.client import Client
from detent.core.confirmation import BEARER
from detent.core.errors import Conflict, InvalidScope, InvalidTarget, TemporarilyUnavailable, UnauthorizedClient
from detent.core.exchange import Form, TokenResponse
from detent.core.family import Ahead, Family, Surroundings, born, with_first_handle
from detent.core.ids import FamilyKey, Instant, Subject, placement_of
from detent.core.people import User
from detent.core.policy import FAMILY
from detent.core.scope import IDENTITY_SCOPES, OFFLINE_ACCESS, Scope, narrow, parse_scope
from detent.grants.commit import commit
from detent.ports import Entropy, Store
from detent.registry.requests import ResourcePolicy, TokenRequest
from detent.registry.tokens import Mark, RefreshStrategy
from detent.tokens.handle import Handles
from detent.tokens.id_token import IdTokens
from detent.tokens.mint import Mint

REFRESH_TOKEN = "refresh_token"
_ATTEMPTS = 10


class Issuing:
    def __init__(
        self,
        store: Store,
        handles: Handles,
        mint: Mint,
        id_tokens: IdTokens,
        entropy: Entropy,
        strategies: Mapping[str, RefreshStrategy],
        marks: Mapping[str, Mark],
        policies: Mapping[str, ResourcePolicy],
        ahead: Ahead = "refuse",
        *,
        scopes: Scope = IDENTITY_SCOPES,
        refresh_needs_offline_access: bool = False,
    ) -> None:
        self._scopes = scopes
        self._refresh_needs_offline_access = refresh_needs_offline_access
        self.store = store
        self.handles = handles
        self.mint = mint
        self._id_tokens = id_tokens
        self._entropy = entropy
        self.strategies = strategies
        self._marks = marks
        self._policies = policies
        self._ahead = ahead

    def new_key(self, subject: Subject) -> FamilyKey:
        return FamilyKey(placement_of(subject), self._entropy.token_bytes(16))

    async def api(self, identifier: str) -> Api | None:
        """The registered API of this name, or what a policy says of a resource that is none."""
        found = await self.store.api(identifier)
        if found is None and is_identifier(identifier):
            for policy in self._policies.values():
                if told := await policy.api(identifier):
                    return msgspec.structs.replace(told, identifier=identifier)
        return found

    async def apis(self, identifiers: tuple[str, ...]) -> tuple[Api, ...]:
        """The APIs of these names. Raises InvalidTarget for an unknown one (RFC 8707 §2)."""
        apis = [await self.api(identifier) for identifier in identifiers]
        known = tuple(api for api in apis if api is not None)
        if len(known) < len(apis):
            raise InvalidTarget("The audience or resource asked for is not an API of this server.")
        return known

    async def asked_apis(self, form: Form, client: Client) -> tuple[Api, ...]:
        """The APIs that the request names, or the client's default."""
        default = (client.default_audience,) if client.default_audience else ()
        return await self.apis(form.resources or default)

    def granted(self, apis: tuple[Api, ...], form: Form, client: Client) -> Scope:
        """The scope that the request yields at these APIs; of the others what is offered here.

        Raises InvalidTarget, InvalidScope.
        """
        asked = form.get("scope")
        scope = granted(client, apis, parse_scope(asked) if asked is not None else None)
        for name in scope:
            if name in IDENTITY_SCOPES and name not in self._scopes:
                raise InvalidScope(f"The scope {name} is not offered by this server.")
        return scope

    async def target(self, asked: tuple[str, ...], authorization: Authorization, scope: Scope) -> Target:
        """What of a granted authorization this one access token is for; all of it unless the request says."""
        existing = {name: api for name in authorization.audience if (api := await self.api(name))}
        return target(within(asked or tuple(existing), authorization.audience, existing), scope)

    async def narrowed(self, authorization: Authorization, form: Form) -> Target:
        """What a refresh asks for of what was granted; it never widens, and never sticks (RFC 6749 §6)."""
        asked = form.get("scope")
        scope = authorization.scope if asked is None else narrow(parse_scope(asked), authorization.scope)
        return await self.target(form.resources, authorization, scope)

    async def surroundings(self, client: Client, user_epoch: int, *, session_over: bool = False) -> Surroundings:
        store = await self.store.installation()
        epochs = Epochs(user_epoch, client.epoch, store.server_epoch)
        return Surroundings(epochs, store.restore_epoch, self.handles.current_key, self._ahead, session_over)

    async def begin(
        self,
        request: TokenRequest,
        pending: PendingAuthorization,
        user: User,
        around: Surroundings,
        *,
        until: Instant | None = None,
    ) -> TokenResponse:
        """A new family and its first tokens, in one commit; `until` is the end of the session that it ends with.

        `around` is what the grant was weighed against: who cuts everything off from then on cuts this off too.
        Raises Conflict if the key was begun before, and if the session or the consent that it came of is gone.
        """
        client = request.client
        authorization = msgspec.structs.replace(
            pending.authorization,
            created_at=request.now,
            cnf=request.proved if client.is_public else BEARER,  # RFC 9449 §5, RFC 8705 §4
            epochs=around.epochs,
        )
        for mark in self._marks.values():
            authorization = await mark.born(authorization)
        wanted = await self.target(request.form.resources, authorization, authorization.scope)
        policy = client.policy
        absolute_until = Instant(request.now + policy.absolute)
        family = born(pending.key, authorization, min(absolute_until, until or absolute_until), request.origin)
        strategy = None
        if self._may_refresh(client, authorization.scope):
            strategy = self._strategy_of(client)
            if strategy is None:
                family = with_first_handle(family, policy, around, self._entropy.token_bytes(32))
        answer = await self.answer(family, wanted, request, user=user, nonce=pending.nonce)
        in_session = authorization.session_id is not None  # what was checked may have ended since
        parts: tuple[Part, ...] = (InsertFamily(family, in_session, in_session and not client.first_party),)
        if policy.on_reuse == "suspect":
            whose = (pending.key.placement, user.subject)
            parts += (EndFamilies(*whose, "suspected", which="suspected", client_id=client.client_id),)
        if strategy:
            refresh_token = await self._begin_with(strategy, family, request, parts)
            return msgspec.structs.replace(answer, refresh_token=refresh_token)
        await commit(self.store, request.once, parts, family.history)
        return answer

    def _may_refresh(self, client: Client, scope: Scope) -> bool:
        wished = OFFLINE_ACCESS in scope or not self._refresh_needs_offline_access
        return REFRESH_TOKEN in client.grant_types and wished

    async def _begin_with(
        self, strategy: RefreshStrategy, family: Family, request: TokenRequest, parts: tuple[Part, ...]
    ) -> str:
        """The first refresh token, once it is written. Raises Conflict as `begin` does."""
        for _ in range(_ATTEMPTS):
            issued = await strategy.issue(family, request.client, family.authorization.created_at)
            try:
                await commit(self.store, request.once, (*parts, *issued.parts))
            except Conflict:  # it may be what the strategy remembers of this person: two sign-ins in one moment
                if not issued.parts or await self.store.family(family.key):
                    raise
                continue
            return issued.refresh_token
        if family.authorization.session_id is not None:
            raise Conflict  # then it was the session or the consent, each time
        raise TemporarilyUnavailable("This person is signing in to this app at the same moment.", retry_after=1)

    def _strategy_of(self, client: Client) -> RefreshStrategy | None:
        """None for families. Raises UnauthorizedClient where the strategy's feature was taken out meanwhile."""
        if client.refresh_strategy == FAMILY:
            return None
        strategy = self.strategies.get(client.refresh_strategy)
        if strategy is None:
            raise UnauthorizedClient(f"This server has no refresh strategy {client.refresh_strategy} any more.")
        return strategy

    async def answer(
        self,
        family: Family,
        wanted: Target,
        request: TokenRequest,
        *,
        user: User | None = None,
        nonce: str | None = None,
        with_refresh_token: bool = True,
    ) -> TokenResponse:
        """Every token of one answer; an ID token whenever `openid` was granted, on a refresh too (OIDC §12.2).

        The access token is bound to the key that this request proved, whatever the family is bound to; `user` is
        the person, if already read.
        """
        cnf, now = request.proved, request.now
        access_token, lifetime = await self.mint.access_token(wanted, request.client, now, cnf=cnf, family=family)
        authorization, id_token = family.authorization, None
        if wants_id_token(authorization.scope):
            id_token = await self._id_tokens.of(
                authorization, request.client, now, access_token=access_token, nonce=nonce, user=user
            )
        has_handle = with_refresh_token and family.generation > 0
        return TokenResponse(
            access_token=access_token,
            token_type=cnf.token_type,
            expires_in=lifetime,
            scope=" ".join(wanted.scope),
            refresh_token=self.handles.refresh_token(family) if has_handle else None,
            id_token=id_token,
        )
