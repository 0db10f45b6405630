"""`/device`: a person types the code that a device shows, sees who asks for what and from where, and says yes or no.

Source: RFC 8628 §3.3, §5.1, §5.4; the advice for cross-device flows. Rules: opening an address allows nothing, with
the code in it or without; a yes counts in the browser and the session that it was shown to (attack V4, V7); guesses
are counted (attack V1).
"""

from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from detent.core.client import Client
from detent.core.consent import leave_for
from detent.core.errors import InvalidRequest, SlowDown
from detent.core.exchange import Form, Request, Response
from detent.core.ids import Instant, Seconds
from detent.core.policy import HOUR, MINUTE
from detent.core.session import Session
from detent.endpoints.visitor import Visitor
from detent.features.device import PAGE, Devices, Waiting, in_groups
from detent.grants.issuing import Issuing
from detent.identity.consents import Consents
from detent.identity.throttle import Allowance, Allowances, Throttle
from detent.pages import words
from detent.pages.app_card import card_of
from detent.pages.desk import Desk
from detent.ports import Entropy
from detent.registry.routes import Route
from detent.web.page import Locks, html_page

SHOWN_PREFIX: Final = "dtds_"
GUESSES: Final = Allowances(
    account_here=Allowance(5, Seconds(15 * MINUTE)),
    address=Allowance(20, Seconds(15 * MINUTE)),
    network=Allowance(200, Seconds(15 * MINUTE)),
    account=Allowance(20, Seconds(HOUR)),
)


class Shown(msgspec.Struct, frozen=True):
    """What a person was shown: which device, in which session of which browser."""

    user_code: str
    id: bytes
    sid: str
    browser: bytes


class DevicePage:
    def __init__(
        self,
        desk: Desk,
        consents: Consents,
        devices: Devices,
        issuing: Issuing,
        entropy: Entropy,
    ) -> None:
        self._desk = desk
        self._dispatcher = desk.dispatcher
        self._consents = consents
        self._devices = devices
        self._issuing = issuing
        self._throttle = Throttle(entropy, GUESSES)

    def route(self) -> Route:
        return Route(f"/{PAGE}", ("GET", "POST"), self.handle, page=True)

    async def handle(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        posted = request.method == "POST"
        form = self._desk.form(request, visitor)
        if visitor.session is None:
            interaction = self._dispatcher.begin(visitor, onward=_address(form.get("user_code")))
            response = await self._dispatcher.advance(interaction, visitor, request.support_id)
            return self._desk.visitors.greeted(visitor, response)
        if posted and form.get("device-continue"):
            return await self._typed(form, visitor, visitor.session, request)
        if posted and (form.get("device-confirm") or form.get("cancel")):
            return await self._answered(form, visitor, visitor.session, request)
        page = await self._ask(visitor, visitor.session, form.get("user_code") or "")
        return self._desk.visitors.greeted(visitor, page)

    async def _typed(self, form: Form, visitor: Visitor, session: Session, request: Request) -> Response:
        typed = form.get("user_code") or ""
        try:
            async with self._throttle.guess(session.subject, request.peer, visitor.now, known=False) as guess:
                waiting = await self._devices.named(typed, visitor.now)
                client = await self._issuing.store.client(waiting.client_id) if waiting else None
                if waiting is None or client is None or not client.enabled:
                    guess.failed()
                    return await self._ask(visitor, session, typed, words.WRONG_DEVICE_CODE, 422)
        except SlowDown as error:
            wait = error.retry_after or 1
            page = await self._ask(visitor, session, typed, words.guessed_too_often(wait), 429)
            return page.with_headers(("retry-after", str(wait)))
        return await self._confirm(typed, waiting, client, visitor, session)

    async def _answered(self, form: Form, visitor: Visitor, session: Session, request: Request) -> Response:
        shown, waiting = await self._seen(form, visitor, session)
        client = await self._issuing.store.client(waiting.client_id)
        if client is None or not client.enabled:
            raise InvalidRequest("The app that asked is no longer registered.")
        allowed = bool(form.get("device-confirm"))
        if allowed:
            asked = leave_for(await self._issuing.apis(waiting.audience), waiting.scope)
            await self._consents.allow(session.subject, client.client_id, asked, visitor.now, request.support_id)
        if not await self._devices.answer(shown.user_code, waiting, session if allowed else None, visitor.now):
            raise _over()
        return html_page(self._desk.page("device_done", allowed=allowed, app=card_of(client)))

    async def _seen(self, form: Form, visitor: Visitor, session: Session) -> tuple[Shown, Waiting]:
        """What this person was shown, if it still waits. Raises InvalidRequest."""
        content = self._issuing.handles.unseal(SHOWN_PREFIX, form.get("shown") or "")
        shown = msgspec.msgpack.decode(content, type=Shown) if content else None
        if shown is None or shown.sid != session.sid or shown.browser != visitor.binding:
            raise InvalidRequest(
                "This was shown to somebody else, or before you signed in anew. Type the code again.",
                detail="the confirmation is of another session or browser",
            )
        waiting = await self._devices.named(shown.user_code, visitor.now)
        if waiting is None or waiting.id != shown.id:
            raise _over()
        return shown, waiting

    async def _ask(
        self, visitor: Visitor, session: Session, user_code: str, message: str = "", status: int = 200
    ) -> Response:
        person = await self._desk.person(session)
        values: dict[str, Any] = {
            "person": person,
            "user_code": user_code,
            "message": message,
            "csrf": visitor.form_token,
        }
        return html_page(self._desk.page("device", **values), status)

    async def _confirm(
        self, user_code: str, waiting: Waiting, client: Client, visitor: Visitor, session: Session
    ) -> Response:
        apis = await self._issuing.apis(waiting.audience)
        shown = Shown(user_code, waiting.id, session.sid, visitor.binding)
        app = card_of(client)
        body = self._desk.page(
            "device_confirm",
            app=app,
            asked=words.asked_for(leave_for(apis, waiting.scope), apis),
            device=waiting.device,
            whence=words.whence(waiting.network),
            user_code=in_groups(user_code),
            minutes_left=_minutes_left(waiting.expires_at, visitor.now),
            person=await self._desk.person(session),
            csrf=visitor.form_token,
            shown=self._issuing.handles.seal(SHOWN_PREFIX, msgspec.msgpack.encode(shown)),
        )
        return html_page(body, locks=Locks(images=app.images))


def _address(user_code: str | None) -> str:
    """This page, as it is to be come back to after the sign-in."""
    return f"{PAGE}?{urlencode({'user_code': user_code})}" if user_code else PAGE


def _over() -> InvalidRequest:
    return InvalidRequest("This code was answered already, or has expired. Begin again at the device.")


def _minutes_left(until: Instant, now: Instant) -> int:
    return max(1, (until - now) // MINUTE)
