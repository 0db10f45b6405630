"""What sign-in and sign-up have in common: which app the person is on the way to, and how they arrive.

Leaves who may arrive to the pages, and what comes next to the dispatcher.
"""

from collections.abc import Callable

from msgspec.structs import replace

from detent.core.errors import OAuthError
from detent.core.exchange import Request, Response
from detent.core.interaction import Interaction
from detent.core.people import User
from detent.endpoints.dispatch import Dispatcher
from detent.endpoints.visitor import Visitor, Visitors
from detent.identity.devices import device_name
from detent.identity.sessions import Sessions
from detent.pages.app_card import AppCard, card_of
from detent.web.asgi import refused
from detent.web.page import Locks, leads_to


class Arrival:
    def __init__(
        self,
        visitors: Visitors,
        dispatcher: Dispatcher,
        sessions: Sessions,
        error_page: Callable[[Request, OAuthError], Response],
    ) -> None:
        self._visitors = visitors
        self._dispatcher = dispatcher
        self._sessions = sessions
        self._error_page = error_page

    async def signed_in(self, interaction: Interaction, visitor: Visitor, request: Request, user: User) -> Response:
        """To the next step, with a new session by password."""
        session, cookie = await self._sessions.begin(
            user,
            visitor.now,
            request_origin=request.origin,
            device=device_name(request.headers.get("user-agent", "")),
            amr=("pwd",),
            present=visitor.session,
            support_id=request.support_id,
        )
        here = replace(visitor, session=session)
        try:
            response = await self._dispatcher.advance(
                replace(interaction, signed_in=session.sid), here, request.support_id
            )
        except OAuthError as error:  # they are signed in all the same, and the cookie before it is void
            response = refused(request, error, self._error_page)
        return response.with_headers(*self._visitors.signed_in(visitor, session, cookie))

    async def app(self, interaction: Interaction) -> tuple[AppCard | None, Locks]:
        """The app that asks, if one does, and what a page must be allowed that shows it and leads back to it."""
        request = interaction.request
        if request is None:
            return None, Locks()
        app = card_of(await self._dispatcher.client_of(request), request.redirect_uri)
        return app, Locks(images=app.images, forms=(leads_to(request.redirect_uri),))
