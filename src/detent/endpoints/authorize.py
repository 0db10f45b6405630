"""`/authorize` (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2): what an app asks for, checked; then the dispatcher.

Two halves: until client and redirect URI are proved, whatever is wrong is told to the person on a page; from then on
it is told to the client (RFC 6749 §4.1.2.1). Response mode and `state` are settled first of all the rest, so that
errors travel as answers do.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from detent.core.client import REQUIRE_NONCE, Client, matching_redirect_uri
from detent.core.confirmation import BEARER, Confirmation
from detent.core.errors import (
    InvalidRequest,
    OAuthError,
    RegistrationNotSupported,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from detent.core.exchange import Form, Request, Response
from detent.core.ids import Instant, Seconds
from detent.core.interaction import CREATE, AuthorizationRequest
from detent.core.scope import OFFLINE_ACCESS, OPENID, Scope
from detent.endpoints.dispatch import Dispatcher
from detent.endpoints.response_modes import Query
from detent.endpoints.visitor import Visitors
from detent.grants.issuing import REFRESH_TOKEN, Issuing
from detent.registry.authorizing import Asked, RequestSource
from detent.registry.joined import Registry
from detent.registry.routes import Route
from detent.tokens.id_token import Hints
from detent.web.form import parse_parameters

RESPONSE_TYPE: Final = "code"
PROMPTS: Final = ("none", "login", "consent", "select_account")
_ALONE: Final = {
    "none": "OpenID Connect Core 3.1.2.1",
    CREATE: "Initiating User Registration via OpenID Connect 4.1",
}
MAX_ECHOED: Final = 4096  # characters of state and of nonce, each
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9\-_]{43}")
_MAX_AGE: Final = re.compile(r"[0-9]{1,9}")
_NOT_SUPPORTED: Final[dict[str, type[OAuthError]]] = {
    "request": RequestNotSupported,
    "request_uri": RequestUriNotSupported,
    "registration": RegistrationNotSupported,
}


class AuthorizationEndpoint:
    def __init__(
        self,
        registry: Registry,
        issuing: Issuing,
        dispatcher: Dispatcher,
        visitors: Visitors,
        hints: Hints,
        prompts: tuple[str, ...] = PROMPTS,
        pkce_of_everybody: bool = False,
    ) -> None:
        self._prompts = prompts
        self._pkce_of_everybody = pkce_of_everybody
        self._modes = registry.response_modes
        self._possession = registry.possession
        self._readers = registry.request_readers
        self._sources = registry.request_sources
        self._client_sources = registry.client_sources
        self._issuing = issuing
        self._dispatcher = dispatcher
        self._visitors = visitors
        self._hints = hints

    def route(self) -> Route:
        return Route("/authorize", ("GET", "POST"), self.handle, metadata="authorization_endpoint", page=True)

    async def handle(self, request: Request) -> Response:
        outside = parse_parameters(request)
        visitor = await self._visitors.of(request)
        client = await self._client(outside, request.peer, visitor.now)
        try:
            resolved = await self._resolved(outside, client, visitor.now, self._sources)
        except OAuthError as error:
            return await self._dispatcher.refuse(self._way_out(outside, client, error), error, request.support_id)
        proved = self._proved(resolved.form, client)
        try:
            asked = await self._checked(resolved.form, client, proved)
        except OAuthError as error:
            return await self._dispatcher.refuse(proved, error, request.support_id)
        asked = msgspec.structs.replace(asked, spends=resolved.spends)
        interaction = self._dispatcher.begin(visitor, asked)
        response = await self._dispatcher.advance(interaction, visitor, request.support_id)
        return self._visitors.greeted(visitor, response)

    async def check(self, form: Form, client: Client, now: Instant) -> Form:
        """The parameters of a request that is handed in beforehand. Raises OAuthError as the endpoint would tell it."""
        sources = tuple(source for source in self._sources if not source.checked_before)
        resolved = await self._resolved(form, client, now, sources)
        await self._checked(resolved.form, client, self._proved(resolved.form, client))
        return resolved.form

    async def _resolved(self, form: Form, client: Client, now: Instant, sources: Sequence[RequestSource]) -> Asked:
        """The parameters, wherever they are. Raises OAuthError."""
        if form.get("request") is not None and form.get("request_uri") is not None:
            raise InvalidRequest("request and request_uri cannot stand side by side (RFC 9101 5).")
        used = next((source for source in sources if source.recognises(form)), None)
        if used is None or not used.checked_before:
            for source in sources:
                if source is not used and source.required_of(client):
                    raise InvalidRequest(source.demand)
        return await used.read(form, client, now) if used else Asked(form)

    def _way_out(self, outside: Form, client: Client, error: OAuthError) -> AuthorizationRequest:
        """How to tell the client that its request could not be read. Raises the error itself if it does not say how."""
        if outside.get("redirect_uri") is None:
            raise error
        return self._proved(outside, client)

    async def _client(self, form: Form, peer: str, now: Instant) -> Client:
        """Raises InvalidRequest for the person."""
        client_id = form.get("client_id")
        if client_id is None:
            raise InvalidRequest("The app did not say which one it is: client_id is missing.")
        source = next((source for source in self._client_sources if source.names(client_id)), None)
        client = await (source.found(client_id, peer, now) if source else self._issuing.store.client(client_id))
        if client is None or not client.enabled:
            raise InvalidRequest("No app with this client_id is registered here. Tell the people who run the app.")
        return client

    def _proved(self, form: Form, client: Client) -> AuthorizationRequest:
        """To whom and how the answer goes. Raises InvalidRequest for the person: there is no client to tell."""
        redirect_uri = _redirect_uri(form, client)
        state = _echoed(form, "state")
        mode = self._modes.get(form.get("response_mode") or Query.name)
        if mode:
            mode.check(client, redirect_uri)
        return AuthorizationRequest(
            client.client_id,
            redirect_uri,
            form.get("redirect_uri") is not None,
            mode.name if mode else Query.name,
            scope=(),
            audience=(),
            state=state,
        )

    async def _checked(self, form: Form, client: Client, proved: AuthorizationRequest) -> AuthorizationRequest:
        """The whole request. Raises OAuthError for the client."""
        for name, error in _NOT_SUPPORTED.items():
            if form.get(name) is not None:
                raise error(f"The parameter {name} is not supported here; send the parameters themselves.")
        if form.get("response_type") is None:
            raise InvalidRequest("The parameter response_type is missing.")
        if form.get("response_type") != RESPONSE_TYPE:
            raise UnsupportedResponseType(f"Only response_type={RESPONSE_TYPE} is offered (OAuth 2.1).")
        if form.get("response_mode") not in (None, proved.response_mode):
            raise InvalidRequest(f"response_mode must be one of: {', '.join(self._modes)}.")
        if "authorization_code" not in client.grant_types:
            raise UnauthorizedClient("This client is not registered for the grant type authorization_code.")
        apis = await self._issuing.asked_apis(form, client)
        scope = self._issuing.granted(apis, form, client)
        nonce = _echoed(form, "nonce")
        checked = msgspec.structs.replace(
            proved,
            scope=_without_idle_wishes(scope, client),
            audience=tuple(api.identifier for api in apis),
            nonce=nonce,
            code_challenge=_code_challenge(form, client, nonce, scope, exempt=not self._pkce_of_everybody),
            prompt=_prompt(form, self._prompts),
            max_age=_max_age(form),
            login_hint=(form.get("login_hint") or "")[:256],
            hinted_sub=self._hinted(form),
            cnf=self._bound_to(form),
        )
        for read in self._readers:
            checked = read(form, client, checked)
        return checked

    def _bound_to(self, form: Form) -> Confirmation:
        """The key that the code is to be bound to (RFC 9449 §10). Raises InvalidRequest."""
        asked = [possession.asked(form) for possession in self._possession.values()]
        return next((cnf for cnf in asked if cnf), BEARER)

    def _hinted(self, form: Form) -> str | None:
        """Who must be signed in. Raises InvalidRequest for a hint that is no ID token of ours."""
        given = form.get("id_token_hint")
        if given is None:
            return None
        hint = self._hints.read(given)
        if hint is None:
            raise InvalidRequest("The id_token_hint is not an ID token of this server.")
        return hint.sub


def _redirect_uri(form: Form, client: Client) -> str:
    """RFC 9700 §2.1: exactly one that is registered; left out only where one is and OpenID is not asked for."""
    given = form.get("redirect_uri")
    if given is None:
        openid = OPENID in (form.get("scope") or "").split(" ")
        if len(client.redirect_uris) == 1 and not openid:
            return client.redirect_uris[0]
        raise InvalidRequest("The app did not say where to go back to: redirect_uri is missing.")
    if not matching_redirect_uri(client, given):
        raise InvalidRequest(
            "The redirect_uri is not one that this app registered. They are compared character by character; the "
            "people who run the app can register it with: detent client update CLIENT_ID --redirect-uri URI"
        )
    return given


def _echoed(form: Form, name: str) -> str | None:
    value = form.get(name)
    if value is not None and len(value) > MAX_ECHOED:
        raise InvalidRequest(f"The parameter {name} is longer than {MAX_ECHOED} characters.")
    return value


def _without_idle_wishes(scope: Scope, client: Client) -> Scope:
    """OpenID Connect Core §11: offline access is ignored where the client could not use it."""
    if REFRESH_TOKEN in client.grant_types:
        return scope
    return tuple(name for name in scope if name != OFFLINE_ACCESS)


def _code_challenge(form: Form, client: Client, nonce: str | None, scope: Scope, *, exempt: bool) -> str | None:
    """RFC 7636 §4.3, RFC 9700 §2.1.1: S256, for everybody but a confidential client exempted by its own switch, where
    there are such.
    """
    challenge, method = form.get("code_challenge"), form.get("code_challenge_method")
    if challenge is None:
        if client.require_pkce or not exempt:
            raise InvalidRequest("PKCE is required: code_challenge is missing (RFC 7636).")
        if OPENID not in scope or (nonce is None and client.extra.get(REQUIRE_NONCE, True)):
            raise InvalidRequest("Without PKCE this client must send scope openid and a nonce (RFC 9700 2.1.1).")
        if method is not None:
            raise InvalidRequest("code_challenge_method came without a code_challenge.")
        return None
    if method != "S256":
        raise InvalidRequest("code_challenge_method must be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("code_challenge must be the 43 characters that S256 makes (RFC 7636 4.2).")
    return challenge


def _prompt(form: Form, known: tuple[str, ...]) -> tuple[str, ...]:
    given = form.get("prompt")
    prompt = tuple(dict.fromkeys(given.split(" "))) if given else ()
    if unknown := [name for name in prompt if name not in known]:
        raise InvalidRequest(f"prompt can hold {', '.join(known)}, not {' '.join(unknown)[:50]}.")
    for name, clause in _ALONE.items():
        if name in prompt and len(prompt) > 1:
            raise InvalidRequest(f"prompt={name} cannot stand beside another value ({clause}).")
    return prompt


def _max_age(form: Form) -> Seconds | None:
    given = form.get("max_age")
    if given is None:
        return None
    if not _MAX_AGE.fullmatch(given):
        raise InvalidRequest("max_age must be a whole number of seconds.")
    return Seconds(int(given))
