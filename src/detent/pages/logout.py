"""`/logout` asks whether to sign out, `/signed-out` says that it is done.

What is ended and where it leads from there is endpoints/end_session.py.
"""

from detent.core.exchange import Request, Response
from detent.endpoints.end_session import SIGNED_OUT, EndSession
from detent.pages.app_card import card_of
from detent.pages.desk import Desk
from detent.ports import Store
from detent.registry.routes import Route
from detent.web.page import Locks, html_page, leads_to, see_other


class LogoutPage:
    def __init__(
        self,
        desk: Desk,
        end_session: EndSession,
        store: Store,
    ) -> None:
        self._desk = desk
        self._end_session = end_session
        self._store = store

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/logout", ("GET", "POST"), self.handle, page=True),
            Route(f"/{SIGNED_OUT}", ("GET",), self.signed_out, page=True),
        )

    async def handle(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        posted = request.method == "POST"
        form = self._desk.form(request, visitor)
        sealed = form.get("logout")
        logout = self._end_session.opened(sealed, visitor)
        if posted and form.get("logout-confirm"):
            return await self._end_session.confirmed(logout, request, visitor)
        if posted and form.get("logout-cancel"):
            return see_other("account")
        if visitor.session is None:
            return see_other(SIGNED_OUT)
        client = await self._store.client(logout.client_id) if logout.client_id else None
        app = card_of(client) if client else None
        body = self._desk.page(
            "logout",
            app=app,
            person=await self._desk.person(visitor.session),
            csrf=visitor.form_token,
            logout=sealed or "",
        )
        forms = (leads_to(logout.return_to),) if logout.return_to else ()
        return html_page(body, locks=Locks(images=app.images if app else (), forms=forms))

    async def signed_out(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        if visitor.session is not None:  # somebody typed the address
            return see_other("account")
        return html_page(self._desk.page("signed_out"))
