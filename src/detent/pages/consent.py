"""`/consent`: who asks, for what, in words; then back to the dispatcher with the answer.

A yes counts for the person it was shown to, for what was shown, in the session in which it was shown (attack R16).
"""

from msgspec.structs import replace

from detent.core.errors import AccessDenied
from detent.core.exchange import Request, Response
from detent.core.interaction import AskConsent, AuthorizationRequest, Interaction, to_choose
from detent.core.session import Session
from detent.endpoints.visitor import Visitor
from detent.grants.issuing import Issuing
from detent.identity.consents import Consents
from detent.pages import words
from detent.pages.app_card import card_of
from detent.pages.desk import Desk
from detent.registry.routes import Route
from detent.web.page import Locks, html_page, leads_to


class ConsentPage:
    def __init__(
        self,
        desk: Desk,
        consents: Consents,
        issuing: Issuing,
    ) -> None:
        self._desk = desk
        self._dispatcher = desk.dispatcher
        self._consents = consents
        self._issuing = issuing

    def route(self) -> Route:
        return Route("/consent", ("GET", "POST"), self.handle, page=True)

    async def handle(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        posted = request.method == "POST"
        form = self._desk.form(request, visitor)
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
        body = self._desk.page(
            "consent",
            app=app,
            fresh=words.asked_for(fresh, apis),
            before=words.asked_for(before, apis),
            person=await self._desk.person(session),
            csrf=visitor.form_token,
            interaction=self._dispatcher.sealed(interaction),
        )
        return html_page(body, locks=Locks(images=app.images, forms=(leads_to(request.redirect_uri),)))
