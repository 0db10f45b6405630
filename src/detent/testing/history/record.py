"""The record: every request's start, end and answer, as a client sees them. No token is kept, only its digest.

Order is that of `started` and `ended`, numbers of one counter: a request came after another if it started when the
other had ended. A request without an end has an unknown fate: it may or may not have been carried out.
"""

import base64
import json
import struct
from collections.abc import Mapping
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from detent.core.ids import Instant
from detent.ports import Clock

_HANDLE: Final = struct.Struct(">BHH16sHI")  # tokens/handle.py, transcribed: the check needs no key
CUT_OFF: Final = "cut_off"
_KINDS: Final = {
    "/oauth/token": "token",
    "/oauth/revoke": "revoke",
    "/oauth/introspect": "introspect",
    "/userinfo": "userinfo",
}


class Token(msgspec.Struct, frozen=True):
    """A refresh token: what anybody can read in it, and its digest."""

    family: str
    epoch: int
    generation: int
    digest: str


class Request(msgspec.Struct, omit_defaults=True):
    """`kind` is the grant type, or `revoke`, `introspect`, `userinfo`, or `cut_off`, whatever door it came by; `at` and
    `until` are the server's clock at start and end.

    `promised` says that whoever sent it may rely on not being refused (invariants I6, I7). `person` and `session` say,
    of a sign-in, whose it is and with which session its family ends, if the client knows; of a cut-off, whom and what
    it is about. A cut-off that names no client, no person, no session is about all of them.
    """

    number: int
    kind: str
    client: str
    started: int
    at: Instant
    presented: Token | None = None
    other: str = ""  # digest of a code or access token that was presented
    retry_key: str = ""
    origin: str = ""
    promised: bool = False
    person: str = ""
    session: str = ""
    ended: int | None = None
    until: Instant = Instant(0)
    status: int = 0
    error: str = ""
    successor: Token | None = None
    access_token: str = ""
    scope: tuple[str, ...] = ()
    audience: tuple[str, ...] = ()
    fixed: dict[str, Any] = {}
    active: bool | None = None

    @property
    def shown(self) -> int:
        """The generation that was presented; 0 for none."""
        return self.presented.generation if self.presented else 0

    @property
    def given(self) -> int:
        """The generation that was answered; 0 for none."""
        return self.successor.generation if self.successor else 0

    @property
    def answered(self) -> bool:
        return self.ended is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """For good: not because the server had no time (429, 503), or the request was malformed."""
        return self.ended is not None and self.error == "invalid_grant"

    def after(self, other: "Request") -> bool:
        return other.ended is not None and other.ended < self.started


class Recorder:
    """Records requests as they are sent and answered; speaks to nobody."""

    def __init__(self, clock: Clock) -> None:
        self.requests: list[Request] = []
        self._clock = clock
        self._order, self._numbers = count(1), count(1)  # requests may come from several threads

    def started(
        self,
        path: str,
        form: Mapping[str, str],
        client: str,
        *,
        origin: str = "",
        promised: bool = False,
        person: str = "",
        session: str = "",
    ) -> Request:
        kind = _KINDS[path]
        names = ("refresh_token", "token", "access_token", "code")
        token = next((form[name] for name in names if form.get(name)), "")
        presented = token_of(token)
        request = Request(
            next(self._numbers),
            form.get("grant_type", kind),
            client,
            next(self._order),
            self._clock.now(),
            presented=presented,
            other=digest(token) if token and not presented else "",
            retry_key=digest(form["retry_key"]) if form.get("retry_key") else "",
            origin=origin,
            promised=promised,
            person=person,
            session=session,
        )
        self.requests.append(request)
        return request

    def cutting(self, *, client: str = "", person: str = "", session: str = "") -> Request:
        """A cut-off or a sign-out begins, by whatever door; `cut` when its end was acknowledged."""
        order, now = next(self._order), self._clock.now()
        request = Request(next(self._numbers), CUT_OFF, client, order, now, person=person, session=session)
        self.requests.append(request)
        return request

    def cut(self, request: Request) -> None:
        request.ended, request.until, request.status = next(self._order), self._clock.now(), 200

    def answered(self, request: Request, status: int, body: bytes) -> None:
        """What the server sent, whether or not the client is going to get it."""
        request.ended, request.until, request.status = next(self._order), self._clock.now(), status
        if request.kind == "userinfo":  # what it tells is the person's business
            request.active = {200: True, 401: False}.get(status)
            return
        told: dict[str, Any] = json.loads(body) if body else {}
        request.error = told.get("error", "")
        request.active = told.get("active")
        request.successor = token_of(told.get("refresh_token", ""))
        if access_token := told.get("access_token"):
            request.access_token = digest(access_token)
            request.scope = tuple(told.get("scope", "").split())
            _read_claims(request, access_token)


def token_of(text: str) -> Token | None:
    """A refresh token as it travels; None for anything else."""
    if not text.startswith("dtrt_"):
        return None
    raw = base64.urlsafe_b64decode(text[5:] + "=" * (-len(text[5:]) % 4))
    _, _, placement, family, epoch, generation = _HANDLE.unpack_from(raw)
    return Token(f"{placement:04x}{family.hex()}", epoch, generation, digest(text))


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()


def save(requests: list[Request], path: Path) -> None:
    """One request a line, so that histories can be joined and searched."""
    path.write_bytes(b"".join(msgspec.json.encode(request) + b"\n" for request in requests))


def load(path: Path) -> list[Request]:
    return [msgspec.json.decode(line, type=Request) for line in path.read_bytes().splitlines()]


def _read_claims(request: Request, access_token: str) -> None:
    """Audience and what a family never changes, of a JWT (RFC 9068 §2.2); the signature is others' business."""
    if access_token.count(".") != 2:
        return
    part = access_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    audience = claims.get("aud", ())
    request.audience = (audience,) if isinstance(audience, str) else tuple(audience)
    request.fixed = {name: claims.get(name) for name in ("sub", "client_id", "auth_time", "cnf")}
