"""`/consent`: who asks, for what, in words; then back to the dispatcher with the answer.

A yes counts for the person it was shown to, for what was shown, in the session in which it was shown (attack R16).
"""

from msgspec.structs import replace

from detent.core.errors import AccessDenied
from detent.core.exchange import Request, Response
from detent.core.interaction import AskConsent, AuthorizationRequest, Interaction, to_choose
from detent.core.session import Session
from detent.endpoints.dispatch import Dispatcher
from detent.endpoints.visitor import Visitor, Visitors
from detent.grants.issuing import Issuing
from detent.identity.consents import Consents
from detent.pages import words
from detent.pages.app_card import card_of
from detent.pages.door import FormDoor
from detent.pages.rendering import Rendering
from detent.ports import Directory
from detent.registry.routes import Route
from detent.web.form import parse_parameters
from detent.web.page import Locks, html_page, leads_to


class ConsentPage:
    def __init__(
        self,
        rendering: Rendering,
        door: FormDoor,
        visitors: Visitors,
        dispatcher: Dispatcher,
        consents: Consents,
        issuing: Issuing,
        directory: Directory,
    ) -> None:
        self._rendering = rendering
        self._door = door
        self._visitors = visitors
        self._dispatcher = dispatcher
        self._consents = consents
        self._issuing = issuing
        self._directory = directory

    def route(self) -> Route:
        return Route("/consent", ("GET", "POST"), self.handle, page=True)

    async def handle(self, request: Request) -> Response:
        visitor = await self._visitors.of(request)
        posted = request.method == "POST"
        form = self._door.form(request, visitor) if posted else parse_parameters(request)
        interaction = self._dispatcher.opened(form.get("interaction"), visitor)
        step = await self._dispatcher.step(interaction, visitor)
        if posted and form.get("consent-deny"):
            denied = AccessDenied("The person did not allow it.")
            return await self._dispatcher.refuse(interaction.request, denied, request.support_id)
        if not isinstance(step, AskConsent) or interaction.shown != step.session.sid or not interaction.request:
            return await self._dispatcher.advance(interaction, visitor, request.support_id)
        if posted and form.get("consent-accept"):
            return await self._allowed(interaction, visitor, step.session, request)
        if posted and form.get("switch-account"):
            return await self._dispatcher.advance(to_choose(interaction), visitor, request.support_id)
        return await self._page(interaction, interaction.request, visitor, step.session)

    async def _allowed(
        self, interaction: Interaction, visitor: Visitor, session: Session, request: Request
    ) -> Response:
        situation = await self._dispatcher.situation(interaction, session)
        if situation.client:
            whose = (session.subject, situation.client.client_id)
            await self._consents.allow(*whose, situation.asked, visitor.now, request.support_id)
        return await self._dispatcher.advance(replace(interaction, allowed=session.sid), visitor, request.support_id)

    async def _page(
        self, interaction: Interaction, request: AuthorizationRequest, visitor: Visitor, session: Session
    ) -> Response:
        situation = await self._dispatcher.situation(interaction, session)
        client = await self._dispatcher.client_of(request)
        app = card_of(client, request.redirect_uri)
        found = [await self._issuing.api(identifier) for identifier in request.audience]
        apis = [api for api in found if api]
        fresh, before = words.split(situation.asked, situation.consent)
        body = self._rendering.page(
            "consent",
            app=app,
            fresh=words.asked_for(fresh, apis),
            before=words.asked_for(before, apis),
            person=await self._directory.user(session.subject),
            csrf=visitor.form_token,
            interaction=self._dispatcher.sealed(interaction),
        )
        return html_page(body, locks=Locks(images=app.images, forms=(leads_to(request.redirect_uri),)))
