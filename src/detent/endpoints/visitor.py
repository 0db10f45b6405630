"""Who is at this browser: its own cookie, the live session, and whom it has seen sign in before.

The browser's cookie is no credential. It binds what a page sent to the browser that it was sent to: a form's token
and a sealed interaction are worth nothing in another browser (RFC 6749 §10.12, RFC 9700 §4.7).
"""

import hmac
from hashlib import blake2b
from typing import Final

import msgspec

from detent.core.base64url import base64url
from detent.core.exchange import Request, Response
from detent.core.ids import Instant
from detent.core.policy import DAY
from detent.core.session import Session
from detent.identity.sessions import Sessions
from detent.ports import Clock, Entropy
from detent.tokens.handle import Handles
from detent.web.cookies import BROWSER, DEVICE, SESSION, Cookies, Header

DEVICE_PREFIX: Final = "dtdv_"
_BROWSER_CHARACTERS: Final = 22
_BROWSER_LIFE: Final = 400 * DAY  # browsers keep no cookie longer
_PEOPLE: Final = 8  # how many of those that signed in here are remembered


class Visitor(msgspec.Struct, frozen=True):
    """`browser` is the cookie's value, new where the request had none; `known` are subjects."""

    browser: str
    is_new: bool
    now: Instant
    session: Session | None = None
    known: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Visitor({self.session}, ***)"

    @property
    def form_token(self) -> str:
        """What every form of ours carries back."""
        return blake2b(self.browser.encode(), digest_size=16, person=b"detent form").hexdigest()

    @property
    def binding(self) -> bytes:
        """What an interaction remembers of the browser."""
        return blake2b(self.browser.encode(), digest_size=16, person=b"detent browser").digest()

    def sent(self, form_token: str | None) -> bool:
        """Whether the form came from a page for this browser; constant time."""
        given = (form_token or "").encode()
        return not self.is_new and hmac.compare_digest(given, self.form_token.encode())


class Visitors:
    def __init__(self, cookies: Cookies, sessions: Sessions, handles: Handles, clock: Clock, entropy: Entropy) -> None:
        self._cookies = cookies
        self._sessions = sessions
        self._handles = handles
        self._clock = clock
        self._entropy = entropy

    async def of(self, request: Request) -> Visitor:
        now = self._clock.now()
        browser = self._cookies.read(request, BROWSER)
        is_new = browser is None or len(browser) != _BROWSER_CHARACTERS
        if browser is None or is_new:
            browser = base64url(self._entropy.token_bytes(16))
        session = await self._sessions.find(self._cookies.read(request, SESSION), now)
        return Visitor(browser, is_new, now, session, self._known(request))

    def greeted(self, visitor: Visitor, response: Response) -> Response:
        """The response, with the browser's cookie if it had none."""
        if not visitor.is_new:
            return response
        return response.with_headers(self._cookies.set(BROWSER, visitor.browser, _BROWSER_LIFE))

    def signed_in(self, visitor: Visitor, session: Session, cookie: str) -> tuple[Header, ...]:
        """The cookies of a new sign-in: the session, and that this browser knows its person."""
        known = (session.subject, *(one for one in visitor.known if one != session.subject))[:_PEOPLE]
        device = self._handles.seal(DEVICE_PREFIX, msgspec.msgpack.encode(known))
        return (
            self._cookies.set(SESSION, cookie, session.life.absolute_until - visitor.now),
            self._cookies.set(DEVICE, device, _BROWSER_LIFE),
        )

    def signed_out(self) -> Header:
        return self._cookies.clear(SESSION)

    def _known(self, request: Request) -> tuple[str, ...]:
        sealed = self._cookies.read(request, DEVICE)
        content = self._handles.unseal(DEVICE_PREFIX, sealed) if sealed else None
        return msgspec.msgpack.decode(content, type=tuple[str, ...]) if content else ()
