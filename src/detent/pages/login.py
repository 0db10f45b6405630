"""`/login`: name and password, once the interaction waits for that; then back to the dispatcher.

The answer to a wrong password and to an unknown name is the same page (attack U1). Whoever is signed in already is
sent on, so a tab that was left open does no harm.
"""

from typing import Final

from msgspec.structs import replace

from detent.core.errors import AccessDenied, SlowDown, TemporarilyUnavailable
from detent.core.exchange import Form, Request, Response
from detent.core.interaction import Interaction, Why
from detent.core.interaction import SignIn as SignInStep
from detent.endpoints.dispatch import SIGN_UP
from detent.endpoints.visitor import Visitor
from detent.identity.sign_in import SignIn
from detent.pages import words
from detent.pages.arrival import Arrival
from detent.pages.desk import Desk
from detent.registry.routes import Route
from detent.web.form import parse_parameters
from detent.web.page import html_page

PREFILLED: Final[tuple[Why, ...]] = ("asked", "too_long_ago")  # the person who is signed in is to be seen again
NEWCOMERS: Final[tuple[Why, ...]] = ("signed_out", "choose")  # who may want an account of their own


class LoginPage:
    def __init__(
        self,
        desk: Desk,
        sign_in: SignIn,
        arrival: Arrival,
        sign_up: bool = False,
    ) -> None:
        self._desk = desk
        self._dispatcher = desk.dispatcher
        self._sign_in = sign_in
        self._arrival = arrival
        self._sign_up = sign_up

    def route(self) -> Route:
        return Route("/login", ("GET", "POST"), self.handle, page=True)

    async def handle(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        if request.method == "POST":
            return await self._post(request, visitor)
        sealed = parse_parameters(request).get("interaction")
        if sealed is None:  # somebody typed the address
            response = await self._dispatcher.advance(self._dispatcher.begin(visitor), visitor, request.support_id)
            return self._desk.visitors.greeted(visitor, response)
        interaction = self._dispatcher.opened(sealed, visitor)
        step = await self._dispatcher.step(interaction, visitor)
        if not isinstance(step, SignInStep):
            return await self._dispatcher.advance(interaction, visitor, request.support_id)
        return await self._page(interaction, step, visitor)

    async def _post(self, request: Request, visitor: Visitor) -> Response:
        form = self._desk.door.form(request, visitor)
        interaction = self._dispatcher.opened(form.get("interaction"), visitor)
        if form.get("cancel"):
            denied = AccessDenied("The person did not sign in.")
            return await self._dispatcher.refuse(interaction.request, denied, request.support_id)
        if form.get("continue"):
            return await self._go_on(interaction, visitor, request)
        username, password = form.get("username") or "", form.get("password") or ""
        try:
            user = await self._sign_in.verify(
                username,
                password,
                peer=request.peer,
                known=frozenset(visitor.known),
                now=visitor.now,
                support_id=request.support_id,
            )
        except (SlowDown, TemporarilyUnavailable) as error:
            wait = error.retry_after or 1
            message = words.failed_too_often(wait) if isinstance(error, SlowDown) else error.description
            page = await self._again(interaction, visitor, form, message, error.status)
            return page.with_headers(("retry-after", str(wait)))
        if user is None:
            return await self._again(interaction, visitor, form, words.WRONG, 422)
        return await self._arrival.signed_in(interaction, visitor, request, user)

    async def _go_on(self, interaction: Interaction, visitor: Visitor, request: Request) -> Response:
        """The person chose the account that is signed in: enough where only a choice was asked for."""
        step = await self._dispatcher.step(interaction, visitor)
        if visitor.session and step == SignInStep("choose"):
            interaction = replace(interaction, signed_in=visitor.session.sid)
        return await self._dispatcher.advance(interaction, visitor, request.support_id)

    async def _again(
        self, interaction: Interaction, visitor: Visitor, form: Form, message: str, status: int
    ) -> Response:
        step = await self._dispatcher.step(interaction, visitor)
        step = step if isinstance(step, SignInStep) else SignInStep("signed_out")
        return await self._page(interaction, step, visitor, form.get("username") or "", message, status)

    async def _page(
        self,
        interaction: Interaction,
        step: SignInStep,
        visitor: Visitor,
        username: str | None = None,
        message: str = "",
        status: int = 200,
    ) -> Response:
        request = interaction.request
        app, locks = await self._arrival.app(interaction)
        present = await self._desk.person(visitor.session)
        if username is None:
            username = request.login_hint if request else ""
            username = username or (present.username if present and step.why in PREFILLED else "")
        body = self._desk.page(
            "login",
            app=app,
            why=words.WHY[step.why],
            present=present,
            may_continue=step.why == "choose" and present is not None,
            username=username,
            message=message,
            sign_up=self._dispatcher.address(SIGN_UP, interaction) if self._sign_up and step.why in NEWCOMERS else "",
            csrf=visitor.form_token,
            interaction=self._dispatcher.sealed(interaction),
        )
        return html_page(body, status, locks)
