"""The one dispatcher of sign-ins: every step comes back here, and here it is decided what comes next.

Steps (pages/) never lead to one another. What comes next is `next_step` of core/interaction.py; this file reads what
that needs, seals the interaction for the next step, and at the end answers the client. Rule: an answer goes only to a
redirect URI that is the client's now, and a code is made anew of what is stored now (RFC 6749 §4.1.2, RFC 9207).
"""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlencode

import msgspec

from detent.core.authorization import Authorization, Epochs, PendingAuthorization
from detent.core.changes import Changes, ConsumeRecord
from detent.core.client import Client, matching_redirect_uri
from detent.core.consent import leave_for
from detent.core.errors import Conflict, ConsentRequired, InvalidRequest, LoginRequired, OAuthError
from detent.core.exchange import Response
from detent.core.ids import FamilyKey, Instant, placement_of
from detent.core.interaction import (
    INTERACTION_LIFE,
    AskConsent,
    AuthorizationRequest,
    Done,
    Interaction,
    SignIn,
    SignUp,
    Situation,
    Spent,
    Step,
    next_step,
)
from detent.core.session import Session
from detent.endpoints.visitor import Visitor
from detent.grants.authorization_code import CODE_LIFE, sealed_code
from detent.grants.issuing import Issuing
from detent.identity.consents import Consents
from detent.identity.sessions import Sessions
from detent.ports import Entropy
from detent.registry.authorizing import ResponseMode
from detent.tokens.disclosure import Disclosure
from detent.web.page import see_other

INTERACTION_PREFIX: Final = "dtin_"
# Relative, for all of them stand side by side: so they work under a path of a proxy, and under every name of loopback.
ACCOUNT, LOGIN, SIGN_UP, CONSENT = "account", "login", "sign-up", "consent"


class HeldBack(Protocol):
    """An error for a client, on a page that leads there when the person says so."""

    def __call__(
        self,
        client: Client,
        request: AuthorizationRequest,
        error: OAuthError,
        parameters: Mapping[str, str],
        support_id: str,
    ) -> Response: ...


class AnsweredAlready(InvalidRequest):
    """Told to the person: the client has its answer."""


class Dispatcher:
    def __init__(
        self,
        issuer: str,
        modes: Mapping[str, ResponseMode],
        issuing: Issuing,
        sessions: Sessions,
        consents: Consents,
        disclosure: Disclosure,
        entropy: Entropy,
        held_back: HeldBack,
    ) -> None:
        self._issuer = issuer
        self._modes = modes
        self._issuing = issuing
        self._sessions = sessions
        self._consents = consents
        self._disclosure = disclosure
        self._entropy = entropy
        self._held_back = held_back

    # What a step does with its interaction

    def begin(self, visitor: Visitor, request: AuthorizationRequest | None = None, *, onward: str = "") -> Interaction:
        """A new one for this browser; without a request it ends at the page `onward`, or at the account page."""
        return Interaction(self._entropy.token_bytes(16), visitor.now, visitor.binding, request, onward=onward)

    def sealed(self, interaction: Interaction) -> str:
        return self._issuing.handles.seal(INTERACTION_PREFIX, msgspec.msgpack.encode(interaction))

    def address(self, step: str, interaction: Interaction) -> str:
        """Where this step goes on with the interaction."""
        return f"{step}?{urlencode({'interaction': self.sealed(interaction)})}"

    def opened(self, sealed: str | None, visitor: Visitor) -> Interaction:
        """The interaction that a step was given. Raises InvalidRequest if it is not of this browser, or too old."""
        content = self._issuing.handles.unseal(INTERACTION_PREFIX, sealed) if sealed else None
        interaction = msgspec.msgpack.decode(content, type=Interaction) if content else None
        if interaction is None or interaction.browser != visitor.binding:
            raise InvalidRequest(
                "This sign-in was not begun in this browser, or its cookies are gone. Go back to the app and sign in "
                "from there.",
                detail="the interaction is not sealed by us, or is bound to another browser",
            )
        if visitor.now - interaction.started_at >= INTERACTION_LIFE:
            raise InvalidRequest("This sign-in was begun too long ago. Go back to the app and sign in again.")
        return interaction

    async def situation(self, interaction: Interaction, session: Session | None) -> Situation:
        """Raises InvalidRequest if the client or its redirect URI is gone, InvalidTarget if an API is."""
        request = interaction.request
        if request is None:
            return Situation(session)
        client = await self.client_of(request)
        asked = leave_for(await self._issuing.apis(request.audience), (*request.scope, *request.leave))
        if session is None:
            return Situation(None, client, asked=asked)
        consent = await self._consents.given(session.subject, client.client_id)
        return Situation(session, client, consent, asked, self._disclosure.subject(session.subject, client))

    async def client_of(self, request: AuthorizationRequest) -> Client:
        """The client as it is now. Raises InvalidRequest if an answer may no longer go where it was to go."""
        client = await self._issuing.store.client(request.client_id)
        if client is None or not client.enabled or not matching_redirect_uri(client, request.redirect_uri):
            raise InvalidRequest("The app that you were signing in to is no longer registered like this.")
        return client

    async def step(self, interaction: Interaction, visitor: Visitor) -> Step:
        """What the interaction waits for just now."""
        return next_step(interaction, await self.situation(interaction, visitor.session), visitor.now)

    # What comes next

    async def advance(self, interaction: Interaction, visitor: Visitor, support_id: str) -> Response:
        """To the next step, or to the client with its code or error. `visitor.session` is the session as it is now."""
        try:
            step = await self.step(interaction, visitor)
            match step:
                case Done(session):
                    return await self._done(interaction, session, visitor.now)
                case SignIn():
                    _unless_silent(interaction, LoginRequired("Nobody is signed in who could be answered for."))
                    return self._to(LOGIN, interaction)
                case SignUp():
                    return self._to(SIGN_UP, interaction)
                case AskConsent(session):
                    _unless_silent(interaction, ConsentRequired("The person has not allowed this app all of it yet."))
                    return self._to(CONSENT, msgspec.structs.replace(interaction, shown=session.sid))
        except AnsweredAlready:
            raise
        except OAuthError as error:
            return await self.refuse(interaction.request, error, support_id)

    async def refuse(self, request: AuthorizationRequest | None, error: OAuthError, support_id: str) -> Response:
        """RFC 6749 §4.1.2.1: tell the client, or the person first where it is anybody's (RFC 9700 §4.11.2).

        Raises the error itself where there is no client to tell.
        """
        if request is None:
            raise error
        client = await self.client_of(request)
        description = f"{error.description} Support id: {support_id}."
        parameters = self._told(request, {"error": error.code, "error_description": description})
        if client.is_anybodys and self._modes[request.response_mode].leads_away:
            answer = self._held_back(client, request, error, parameters, support_id)
        else:
            answer = self._modes[request.response_mode].respond(client, request.redirect_uri, parameters)
        return msgspec.structs.replace(answer, error=error.code)

    def _to(self, step: str, interaction: Interaction) -> Response:
        return see_other(self.address(step, interaction))

    async def _done(self, interaction: Interaction, session: Session, now: Instant) -> Response:
        await self._sessions.touch(session, now)
        request = interaction.request
        if request is None:
            return see_other(interaction.onward or ACCOUNT)
        client = await self.client_of(request)
        key = FamilyKey(placement_of(session.subject), interaction.id)
        if (interaction.signed_in or interaction.allowed) and await self._issuing.store.family(key):
            # Its code was redeemed: another one would look like a replay and end what the first one began.
            raise AnsweredAlready("You have answered this already. Go back to the app.", detail="submitted twice")
        if request.spends:
            await self._spend(request.spends, now)
        code = sealed_code(self._issuing.handles, await self._pending(key, request, client, session, now))
        return self._modes[request.response_mode].respond(
            client, request.redirect_uri, self._told(request, {"code": code})
        )

    async def _spend(self, spent: Spent, now: Instant) -> None:
        """Raises AnsweredAlready. Expired meanwhile it may be gone: the person took longer than the app was given."""
        try:
            await self._issuing.store.apply(Changes((ConsumeRecord(spent.kind, spent.key, 1, Instant(0)),)))
        except Conflict:
            if now < spent.until:
                raise AnsweredAlready("You have answered this already. Go back to the app.", detail="spent") from None

    async def _pending(
        self, key: FamilyKey, request: AuthorizationRequest, client: Client, session: Session, now: Instant
    ) -> PendingAuthorization:
        """What the code carries: no write, and nothing that is not true now."""
        server_epoch = (await self._issuing.store.installation()).server_epoch
        authorization = Authorization(
            client.client_id,
            session.subject,
            request.scope,
            request.audience,
            created_at=now,
            auth_time=session.auth_time,
            amr=session.amr,
            acr=session.acr,
            session_id=session.sid,
            cnf=request.cnf,
            extra=request.extra,
            epochs=Epochs(session.epochs.user, client.epoch, server_epoch),
        )
        return PendingAuthorization(
            key,
            authorization,
            Instant(now + CODE_LIFE),
            redirect_uri=request.redirect_uri if request.redirect_uri_named else None,
            code_challenge=request.code_challenge,
            nonce=request.nonce,
        )

    def _told(self, request: AuthorizationRequest, answer: dict[str, str]) -> dict[str, str]:
        """RFC 9207 §2: with `iss`, errors too."""
        state = {} if request.state is None else {"state": request.state}
        return {**answer, **state, "iss": self._issuer}


def _unless_silent(interaction: Interaction, error: OAuthError) -> None:
    """OpenID Connect Core §3.1.2.1: `prompt=none` never shows a page."""
    if interaction.request and "none" in interaction.request.prompt:
        raise error
