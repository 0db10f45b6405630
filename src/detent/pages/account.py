"""`/account`: my devices and apps, what I allowed, and what was ended for my safety; and the buttons to end each.

A device is a session; the apps on it are the families that began there. What a button does is identity/'s and
grants/ending.py's; every button answers with a redirect, so that a reload repeats nothing.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from detent.core.authorization import Epochs
from detent.core.client import Client
from detent.core.consent import Consent
from detent.core.errors import InvalidRequest
from detent.core.exchange import Form, Request, Response
from detent.core.family import Family
from detent.core.ids import ClientId, FamilyKey, Instant
from detent.core.people import User
from detent.core.session import Session, why_session_over
from detent.endpoints.dispatch import ACCOUNT
from detent.endpoints.end_session import SIGNED_OUT
from detent.endpoints.visitor import Visitor
from detent.grants.ending import Ending
from detent.grants.issuing import Issuing
from detent.identity.consents import Consents
from detent.identity.sessions import Sessions
from detent.pages import words
from detent.pages.app_card import name_of, start_of
from detent.pages.desk import Desk
from detent.pages.endings import recently_ended, why_app_over
from detent.registry.routes import Route
from detent.web.page import html_page, see_other

FAMILIES_SHOWN: Final = 500
TROUBLE_SHOWN_FOR: Final = 30 * 86400


class AppHere(msgspec.Struct, frozen=True):
    """An app that stays signed in: one family. `start` is where it begins a sign-in, if it says."""

    key: str
    name: str
    start: str
    first: Instant
    last: Instant


class Device(msgspec.Struct, frozen=True):
    """A browser that is signed in; `whence` says in words from where, as far as that is kept."""

    sid: str
    name: str
    current: bool
    first: Instant
    last: Instant
    whence: str
    apps: tuple[AppHere, ...]


class Allowed(msgspec.Struct, frozen=True):
    client_id: str
    name: str
    start: str
    given_at: Instant
    asked: tuple[words.Asked, ...]


class Trouble(msgspec.Struct, frozen=True):
    app: str
    at: Instant
    sentence: str


class AccountPage:
    def __init__(
        self,
        issuer: str,
        desk: Desk,
        sessions: Sessions,
        consents: Consents,
        ending: Ending,
        issuing: Issuing,
    ) -> None:
        self._issuer = issuer
        self._desk = desk
        self._dispatcher = desk.dispatcher
        self._sessions = sessions
        self._consents = consents
        self._ending = ending
        self._issuing = issuing
        self._store = issuing.store

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/account", ("GET", "POST"), self.handle, page=True),
            Route("/", ("GET",), self.home, page=True),
        )

    async def home(self, request: Request) -> Response:
        return see_other(ACCOUNT)

    async def handle(self, request: Request) -> Response:
        visitor = await self._desk.visitors.of(request)
        if visitor.session is None:
            response = await self._dispatcher.advance(self._dispatcher.begin(visitor), visitor, request.support_id)
            return self._desk.visitors.greeted(visitor, response)
        if request.method == "POST":
            form = self._desk.door.form(request, visitor)
            return await self._act(form, visitor, visitor.session, request)
        return await self._page(visitor, visitor.session)

    # Buttons

    async def _act(self, form: Form, visitor: Visitor, session: Session, request: Request) -> Response:
        now = visitor.now
        sign_out = partial(
            self._sessions.sign_out, session.subject, now, origin=request.origin, support_id=request.support_id
        )
        if sid := form.get("sign-out"):
            await sign_out(only=sid)
            return self._left() if sid == session.sid else see_other(ACCOUNT)
        if form.get("sign-out-others"):
            await sign_out(but=session.sid)
            return see_other(ACCOUNT)
        if form.get("sign-out-all"):
            await sign_out()
            return self._left()
        if name := form.get("end-app"):
            await self._end_app(name, session, now, request)
            return see_other(ACCOUNT)
        if client_id := form.get("withdraw"):
            if await self._consents.given(session.subject, ClientId(client_id)):  # else there is nothing to tell of
                await self._consents.withdraw(session.subject, ClientId(client_id), now, request.support_id)
            return see_other(ACCOUNT)
        raise InvalidRequest("No button of this page was pressed.")

    def _left(self) -> Response:
        return see_other(SIGNED_OUT).with_headers(self._desk.visitors.signed_out())

    async def _end_app(self, name: str, session: Session, now: Instant, request: Request) -> None:
        """Nobody ends another person's."""
        key = FamilyKey.parse(name)
        if key:
            await self._ending.end(
                key,
                "person",
                now,
                origin=request.origin,
                support_id=request.support_id,
                only_if=lambda family: family.authorization.subject == session.subject,
            )

    # What is shown

    async def _page(self, visitor: Visitor, session: Session) -> Response:
        now = visitor.now
        person = await self._desk.person(session)
        sessions = await self._desk.directory.sessions(session.subject)
        families = await self._desk.directory.families(subject=session.subject, limit=FAMILIES_SHOWN)
        clients = await self._clients(families)
        server_epoch = (await self._store.installation()).server_epoch
        present = Epochs(session.epochs.user, 0, server_epoch)
        over = {each.sid: why_session_over(each, present, now) for each in sessions}
        why = [why_app_over(each, clients.get(each.authorization.client_id), present, over, now) for each in families]
        live = [each for each, ended in zip(families, why, strict=True) if each.generation and not ended]
        apps = [(each.authorization.session_id, self._app(each, clients)) for each in live]
        devices = [_device(each, session, apps) for each in sessions if not over[each.sid]]
        there = {device.sid for device in devices}
        elsewhere = [app for sid, app in apps if sid not in there]
        body = self._desk.page(
            "account",
            person=person,
            name=_called(person),
            devices=sorted(devices, key=lambda device: not device.current),
            elsewhere=elsewhere,
            allowed=[await self._allowed(each) for each in await self._desk.directory.consents(session.subject)],
            trouble=_trouble(families, clients, now),
            ended=recently_ended(
                [
                    (each, clients.get(each.authorization.client_id), ended)
                    for each, ended in zip(families, why, strict=True)
                ],
                [(each, over[each.sid]) for each in sessions],
                now,
            ),
            now=now,
            csrf=visitor.form_token,
        )
        return self._desk.visitors.greeted(visitor, html_page(body))

    async def _clients(self, families: Sequence[Family]) -> dict[str, Client]:
        names = {family.authorization.client_id for family in families}
        found = [await self._store.client(name) for name in sorted(names)]
        return {client.client_id: client for client in found if client}

    async def _allowed(self, consent: Consent) -> Allowed:
        client = await self._store.client(consent.client_id)
        apis = [await self._issuing.api(place) for place in consent.leave if place]
        asked = words.asked_for(consent.leave, [api for api in apis if api])
        start = start_of(client, self._issuer) if client else ""
        return Allowed(consent.client_id, _shown(client, consent.client_id), start, consent.given_at, asked)

    def _app(self, family: Family, clients: dict[str, Client]) -> AppHere:
        granted = family.authorization
        client = clients[granted.client_id]
        start = start_of(client, self._issuer)
        return AppHere(family.key.text, name_of(client), start, granted.created_at, family.last_used_at)


def _device(each: Session, current: Session, live: Sequence[tuple[str | None, AppHere]]) -> Device:
    apps = tuple(app for sid, app in live if sid == each.sid)
    last = max([each.life.last_used_at, *(app.last for app in apps)])
    whence = words.whence(each.origin.network)
    return Device(each.sid, each.device, each.sid == current.sid, each.created_at, last, whence, apps)


def _trouble(families: Sequence[Family], clients: dict[str, Client], now: Instant) -> list[Trouble]:
    """What its person should know: told for thirty days, the latest first."""
    found = []
    for family in families:
        client_id = family.authorization.client_id
        app = _shown(clients.get(client_id), client_id)
        for event in family.history:
            if event.name in words.TROUBLE and now - event.at < TROUBLE_SHOWN_FOR:
                found.append(Trouble(app, event.at, words.trouble(event)))
    return sorted(found, key=lambda each: each.at, reverse=True)


def _shown(client: Client | None, client_id: str) -> str:
    return name_of(client) if client else client_id


def _called(person: User | None) -> str:
    name = person.claims.get("name") if person else None
    return words.plain(str(name or "")) or (person.username if person else "")
