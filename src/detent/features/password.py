"""The password grant (RFC 6749 §4.3): for the articles' walk-through and for migrations, never for a new app.

OAuth 2.1 dropped it. It is off unless switched on for the server and given to a client, and no profile that stands on
OAuth 2.1 has it. Leaves passwords to identity/, tokens to grants/issuing.py.
"""

from detent.core.authorization import Authorization, PendingAuthorization
from detent.core.errors import InvalidGrant, InvalidRequest
from detent.core.exchange import Form, TokenResponse
from detent.core.ids import Instant
from detent.grants.issuing import Issuing
from detent.identity.sign_in import SignIn
from detent.registry.feature import Feature
from detent.registry.requests import TokenRequest


class Password:
    grant_type = "password"

    def __init__(self, issuing: Issuing, sign_in: SignIn) -> None:
        self._issuing = issuing
        self._sign_in = sign_in

    def screen(self, form: Form, client_id: str, now: Instant) -> None:
        if form.get("username") is None or form.get("password") is None:
            raise InvalidRequest("The parameters username and password are both needed.")

    async def issue(self, request: TokenRequest, screened: None) -> TokenResponse:
        form, client, now = request.form, request.client, request.now
        apis = await self._issuing.asked_apis(form, client)
        scope = self._issuing.granted(apis, form, client)
        user = await self._sign_in.verify(
            form["username"], form["password"], peer=request.peer, now=now, support_id=request.support_id
        )
        if user is None:
            raise InvalidGrant("Wrong username or password.")
        authorization = Authorization(
            client.client_id,
            user.subject,
            scope,
            tuple(api.identifier for api in apis),
            now,
            auth_time=now,
            amr=("pwd",),
        )
        pending = PendingAuthorization(self._issuing.new_key(user.subject), authorization, expires_at=now)
        around = await self._issuing.surroundings(client, user.epoch)
        return await self._issuing.begin(request, pending, user, around)


def feature(issuing: Issuing, sign_in: SignIn) -> Feature:
    return Feature("password", ("RFC 6749 §4.3",), grants=(Password(issuing, sign_in),))
