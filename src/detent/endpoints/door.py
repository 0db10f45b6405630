"""What every endpoint for clients does before and after its own work: form, client, error, CORS.

Used by token, revocation and introspection, so that none can forget a step (RFC 6749 §2.3, §5.2).
"""

from collections.abc import Awaitable, Callable, Mapping

from detent.client_auth.authenticate import authenticated, claimed
from detent.client_auth.guesses import Guesses
from detent.core.client import Client
from detent.core.errors import InvalidClient, OAuthError
from detent.core.exchange import Form, Request, Response
from detent.core.ids import Instant
from detent.grants.commit import commit
from detent.ports import Clock, Store
from detent.registry.requests import Authenticated, Claim, ClientAuth
from detent.web.asgi import refused
from detent.web.cors import readable_by
from detent.web.form import parse_form


class Door:
    def __init__(self, client_auth: Mapping[str, ClientAuth], store: Store, clock: Clock) -> None:
        self._client_auth = client_auth
        self._store = store
        self._clock = clock
        self._guesses = Guesses()

    def now(self) -> Instant:
        return self._clock.now()

    def claim(self, request: Request, form: Form) -> Claim:
        """Who the request says it is; no I/O."""
        return claimed(self._client_auth, request, form)

    async def client(self, claim: Claim, peer: str, now: Instant) -> Authenticated:
        """Who it is. Raises InvalidClient, SlowDown."""
        self._guesses.refuse_too_many(claim.client_id, peer, now)
        try:
            return await authenticated(self._client_auth, claim, self._store, now)
        except InvalidClient:
            self._guesses.failed(claim.client_id, peer, now)
            raise

    async def client_at_once(self, request: Request, form: Form, now: Instant) -> Client:
        """Who it is, for work that writes nothing itself: what counts once is spent here. Raises InvalidClient."""
        proved = await self.client(self.claim(request, form), request.peer, now)
        await commit(self._store, proved.once)
        return proved.client

    async def answer(
        self, request: Request, work: Callable[[Request, Form], Awaitable[Response]], *, browsers: bool = True
    ) -> Response:
        """The response of `work`, or its error; with `browsers` readable by the client's own origins."""
        form = parse_form(request)
        try:
            response = await work(request, form)
        except OAuthError as error:
            response = refused(request, error)
        if not browsers or "origin" not in request.headers:
            return response
        return readable_by(await self._claimed_client(request, form), request, response)

    async def _claimed_client(self, request: Request, form: Form) -> Client | None:
        try:
            return await self._store.client(self.claim(request, form).client_id)
        except OAuthError:
            return None
