"""`client_credentials` (RFC 6749 §4.4): a client acts for itself; no person, no refresh token, no row."""

from detent.core.api import target
from detent.core.errors import InvalidTarget
from detent.core.exchange import Form, TokenResponse
from detent.core.ids import Instant
from detent.grants.commit import commit
from detent.grants.issuing import Issuing
from detent.registry.requests import TokenRequest


class ClientCredentials:
    grant_type = "client_credentials"

    def __init__(self, issuing: Issuing) -> None:
        self._issuing = issuing

    def screen(self, form: Form, client_id: str, now: Instant) -> None:
        """Nothing here is cheap to forge and dear to refuse."""

    async def issue(self, request: TokenRequest, screened: None) -> TokenResponse:
        apis = await self._issuing.asked_apis(request.form, request.client)
        if not apis:
            raise InvalidTarget("Name the API with the parameter audience or resource; this client has no default.")
        scope = self._issuing.granted(apis, request.form, request.client)
        wanted = target(apis, scope)
        mint, proved = self._issuing.mint, request.proved
        around = await self._issuing.surroundings(request.client, 0)
        access_token, lifetime = await mint.access_token(
            wanted, request.client, request.now, cnf=proved, epochs=around.epochs
        )
        await commit(self._issuing.store, request.once)
        return TokenResponse(access_token, proved.token_type, lifetime, " ".join(wanted.scope))
