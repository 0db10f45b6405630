"""`/sign-up`: a person makes an account for themselves, and is signed in with it; then back to the dispatcher.

Source: Initiating User Registration via OpenID Connect §4; RFC 6749 §10.10. There only where the operator wants it.
That a name is taken must be told, so it is told as seldom as accounts are made, and at the price of one. What people
say of themselves is their own word: `email_verified` is false.
"""

import re
from typing import Any, Final

from detent.client_auth.flood import Flood
from detent.core.errors import AccessDenied, InvalidRequest, SlowDown, TemporarilyUnavailable
from detent.core.exchange import Form, Request, Response, network_of
from detent.core.interaction import Interaction, SignIn, SignUp, to_choose
from detent.core.people import User
from detent.endpoints.dispatch import LOGIN, SIGN_UP
from detent.endpoints.visitor import Visitor
from detent.identity.people import People, Taken
from detent.pages import words
from detent.pages.arrival import Arrival
from detent.pages.desk import Desk
from detent.registry.routes import Route
from detent.web.form import parse_parameters
from detent.web.page import html_page

AT_ONE_NETWORK, EVERYWHERE = 50, 1000  # an hour
FIELDS: Final = ("username", "name", "email")  # what is filled in again
LEAST_PASSWORD: Final = 8  # characters: NIST SP 800-63B §5.1.1.2; operators may choose shorter ones
MAX_EMAIL: Final = 254  # RFC 5321 §4.5.3.1.3
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")  # RFC 5321 §4.5.3.1.1, §4.5.3.1.2


class SignUpPage:
    def __init__(
        self,
        desk: Desk,
        people: People,
        arrival: Arrival,
    ) -> None:
        self._desk = desk
        self._dispatcher = desk.dispatcher
        self._people = people
        self._arrival = arrival
        self._flood = Flood(AT_ONE_NETWORK, EVERYWHERE)

    def route(self) -> Route:
        return Route(f"/{SIGN_UP}", ("GET", "POST"), self.handle, page=True)

    async def handle(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        if request.method == "POST":
            return await self._post(request, visitor)
        sealed = parse_parameters(request).get("interaction")
        interaction = self._dispatcher.opened(sealed, visitor) if sealed else self._dispatcher.begin(visitor)
        if isinstance(await self._dispatcher.step(interaction, visitor), SignIn | SignUp):
            hint = interaction.request.login_hint if interaction.request else ""
            response = await self._page(interaction, visitor, {"username": hint})
        else:
            response = await self._dispatcher.advance(interaction, visitor, request.support_id)
        return self._desk.visitors.greeted(visitor, response)

    async def _post(self, request: Request, visitor: Visitor) -> Response:
        form = self._desk.door.form(request, visitor)
        interaction = self._dispatcher.opened(form.get("interaction"), visitor)
        if form.get("cancel"):
            denied = AccessDenied("The person did not sign up.")
            return await self._dispatcher.refuse(interaction.request, denied, request.support_id)
        given = {field: form.get(field) or "" for field in FIELDS}
        try:
            user = await self._registered(form, request, visitor)
        except (SlowDown, TemporarilyUnavailable) as error:
            wait = error.retry_after or 1
            message = words.signed_up_too_often(wait) if isinstance(error, SlowDown) else error.description
            page = await self._page(interaction, visitor, given, message, error.status)
            return page.with_headers(("retry-after", str(wait)))
        except InvalidRequest as error:
            message = words.TAKEN if isinstance(error, Taken) else error.description
            return await self._page(interaction, visitor, given, message, 422)
        return await self._arrival.signed_in(interaction, visitor, request, user)

    async def _registered(self, form: Form, request: Request, visitor: Visitor) -> User:
        """Raises InvalidRequest with what to change, SlowDown and TemporarilyUnavailable."""
        claims = _claims(form)
        password = form.get("password") or ""
        if 0 < len(password) < LEAST_PASSWORD:
            raise InvalidRequest(f"A password has at least {LEAST_PASSWORD} characters.")
        self._flood.count(request.peer, visitor.now, "accounts were asked for")
        return await self._people.add(
            form.get("username") or "",
            password,
            claims,
            reason="signed up",
            network=network_of(request.peer),
            support_id=request.support_id,
        )

    async def _page(
        self, interaction: Interaction, visitor: Visitor, given: dict[str, str], message: str = "", status: int = 200
    ) -> Response:
        app, locks = await self._arrival.app(interaction)
        body = self._desk.page(
            "sign_up",
            app=app,
            present=await self._desk.person(visitor.session),
            given={**dict.fromkeys(FIELDS, ""), **given},
            message=message,
            csrf=visitor.form_token,
            interaction=self._dispatcher.sealed(interaction),
            sign_in=self._dispatcher.address(LOGIN, to_choose(interaction)),
        )
        return html_page(body, status, locks)


def _claims(form: Form) -> dict[str, Any]:
    """What the person says of themselves. Raises InvalidRequest with what to change."""
    name, email = words.plain(form.get("name") or ""), (form.get("email") or "").strip()
    if email and not (len(email) <= MAX_EMAIL and email.isprintable() and _EMAIL.fullmatch(email)):
        raise InvalidRequest("An email address looks like name@example.com.")
    told: dict[str, Any] = {"name": name} if name else {}
    return told | ({"email": email, "email_verified": False} if email else {})
