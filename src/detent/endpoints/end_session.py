"""`/oidc/logout` (OpenID Connect RP-Initiated Logout 1.0) and `/v2/logout`, its older spelling with `returnTo`.

Only a registered return URL is ever followed. Who proves that the app belongs to this session (an ID token of it, or
for `/v2/logout` the app's own page in front of the browser) signs out at once; everybody else's link leads to a page
that asks the person first, so that no foreign page can sign anybody out (attack K2, K11).
"""

from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from detent.core.client import Client
from detent.core.errors import InvalidRequest
from detent.core.exchange import Form, Request, Response
from detent.core.ids import ClientId, Instant
from detent.core.interaction import INTERACTION_LIFE
from detent.endpoints.response_modes import with_parameters
from detent.endpoints.visitor import Visitor, Visitors
from detent.identity.sessions import Sessions
from detent.ports import Store
from detent.registry.routes import Route
from detent.tokens.disclosure import Disclosure
from detent.tokens.handle import Handles
from detent.tokens.id_token import Hint, Hints
from detent.web.form import parse_parameters
from detent.web.page import see_other

LOGOUT_PREFIX: Final = "dtlo_"
CONFIRM, SIGNED_OUT = "logout", "signed-out"  # pages beside `/account`; both endpoints stand one level below


class Logout(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sign-out that waits for the person's yes; bound to one browser, as an interaction is."""

    started_at: Instant
    browser: bytes
    client_id: ClientId | None = None
    return_to: str | None = None


class EndSession:
    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        visitors: Visitors,
        hints: Hints,
        handles: Handles,
        disclosure: Disclosure,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._visitors = visitors
        self._hints = hints
        self._handles = handles
        self._disclosure = disclosure

    def routes(self) -> tuple[Route, ...]:
        oidc = Route("/oidc/logout", ("GET", "POST"), self.oidc, metadata="end_session_endpoint", page=True)
        return oidc, Route("/v2/logout", ("GET",), self.v2, page=True)

    async def oidc(self, request: Request) -> Response:
        """RP-Initiated Logout §2. An ID token that is not ours counts as none."""
        form = parse_parameters(request)
        visitor = await self._visitors.of(request)
        hint = self._hints.read(form.get("id_token_hint") or "")
        client = await self._client(form, hint)
        return_to = _registered(form.get("post_logout_redirect_uri"), client)
        state = form.get("state")
        if return_to and state is not None:
            return_to = with_parameters(return_to, {"state": state})
        return await self._asked(request, visitor, client, return_to, sure=self._is_of(hint, client, visitor))

    async def v2(self, request: Request) -> Response:
        """Without `returnTo` the first URL registered for it; `federated` has nothing to sign out of here."""
        form = parse_parameters(request)
        visitor = await self._visitors.of(request)
        client = await self._client(form, None)
        known = client.post_logout_redirect_uris if client else ()
        return_to = _registered(form.get("returnTo"), client) or next(iter(known), None)
        return await self._asked(request, visitor, client, return_to, sure=_comes_from(client, request))

    # For the page that asks

    def opened(self, sealed: str | None, visitor: Visitor) -> Logout:
        """What the page was given; a plain sign-out without it. Raises InvalidRequest for another browser's."""
        if sealed is None:
            return Logout(visitor.now, visitor.binding)
        content = self._handles.unseal(LOGOUT_PREFIX, sealed)
        logout = msgspec.msgpack.decode(content, type=Logout) if content else None
        if logout is None or logout.browser != visitor.binding or visitor.now - logout.started_at >= INTERACTION_LIFE:
            raise InvalidRequest("This sign-out was not begun in this browser, or too long ago. Begin again.")
        return logout

    async def confirmed(self, logout: Logout, request: Request, visitor: Visitor) -> Response:
        """Sign out, durably, and go where the app wants to be called back."""
        if visitor.session:
            await self._sessions.end(
                visitor.session, visitor.now, "logout", origin=request.origin, support_id=request.support_id
            )
        up = "../" * (request.path.count("/") - 1)
        return see_other(logout.return_to or f"{up}{SIGNED_OUT}").with_headers(self._visitors.signed_out())

    async def _asked(
        self, request: Request, visitor: Visitor, client: Client | None, return_to: str | None, *, sure: bool
    ) -> Response:
        logout = Logout(visitor.now, visitor.binding, client.client_id if client else None, return_to)
        if sure or visitor.session is None:
            return await self.confirmed(logout, request, visitor)
        sealed = self._handles.seal(LOGOUT_PREFIX, msgspec.msgpack.encode(logout))
        return self._visitors.greeted(visitor, see_other(f"../{CONFIRM}?{urlencode({'logout': sealed})}"))

    async def _client(self, form: Form, hint: Hint | None) -> Client | None:
        """RP-Initiated Logout §2: `client_id` must be the one that the ID token was issued to."""
        named = form.get("client_id")
        if named and hint and named != hint.client_id:
            raise InvalidRequest("The id_token_hint was issued to another client than client_id says.")
        client_id = named or (hint.client_id if hint else None)
        return await self._store.client(client_id) if client_id else None

    def _is_of(self, hint: Hint | None, client: Client | None, visitor: Visitor) -> bool:
        """Whether the ID token is of this person, as its client knows them, in this session."""
        session = visitor.session
        if hint is None or client is None or session is None:
            return False
        known = self._disclosure.subject(session.subject, client), self._disclosure.sid(session.sid, client)
        return (hint.sub, hint.sid) == known


def _registered(uri: str | None, client: Client | None) -> str | None:
    """RP-Initiated Logout §3: exactly one of the client's own. Raises InvalidRequest for the person."""
    if uri is None:
        return None
    if client is None or uri not in client.post_logout_redirect_uris:
        raise InvalidRequest(
            "The address to go back to after signing out is not one that this app registered. You have not been "
            "signed out. The people who run the app can register it with: detent client update CLIENT_ID "
            "--post-logout-redirect-uri URI"
        )
    return uri


def _comes_from(client: Client | None, request: Request) -> bool:
    """Whether a page of the client's own led here: browsers send a page's origin along unless it hides it."""
    if client is None:
        return False
    parts = urlsplit(request.headers.get("referer", ""))
    own = {*client.web_origins, *(_origin(uri) for uri in client.redirect_uris)}
    return f"{parts.scheme}://{parts.netloc}" in own


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
