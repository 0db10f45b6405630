"""Sessions: that a person signed in with this browser, and for how long that is believed.

Source: OpenID Connect Core §1.2 (session), OpenID Connect Front-Channel Logout §3 (`sid`), ASVS 5 §7. A session
lives on the server; the cookie holds its key and a secret, the row only the secret's digest. Reading and writing it
is identity/sessions.py.
"""

from typing import Final, Literal, get_args

import msgspec

from detent.core.authorization import Epochs
from detent.core.family import Origin
from detent.core.ids import Instant, Seconds, SessionKey, Subject
from detent.core.policy import DAY

SLIDES_PER_IDLE: Final = 24  # a session in use is written at most this often in the length of its idle life

# OASIS SAML 2.0 Authentication Context §3.4.9: the registered name for a password sent over a protected channel.
Acr = Literal["urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"]
ACR_VALUES: Final[tuple[Acr, ...]] = get_args(Acr)

SessionOver = Literal["ended", "idle", "absolute", "cut_off"]
_BY_TIME: Final[dict[str, SessionOver]] = {"idle": "idle", "absolute": "absolute"}  # as the first to notice wrote it


class SessionPolicy(msgspec.Struct, frozen=True):
    idle: Seconds = Seconds(3 * DAY)
    absolute: Seconds = Seconds(14 * DAY)


class SessionLife(msgspec.Struct, frozen=True):
    """What decides whether a session is over; read with every family that ends with its session."""

    last_used_at: Instant
    idle_until: Instant
    absolute_until: Instant
    ended_by: str = ""

    def over(self, now: Instant) -> SessionOver | None:
        if self.ended_by:
            return _BY_TIME.get(self.ended_by, "ended")
        if now >= self.absolute_until:
            return "absolute"
        return "idle" if now >= self.idle_until else None

    def expired(self, now: Instant) -> str:
        """By which time it ended, if nobody wrote that down yet; else empty."""
        over = self.over(now)
        return over if over and not self.ended_by else ""

    def slid(self, policy: SessionPolicy, now: Instant) -> "SessionLife | None":
        """The life after a use at `now`; None where it is not worth a write yet."""
        if now - self.last_used_at < max(1, policy.idle // SLIDES_PER_IDLE):
            return None
        idle_until = Instant(max(self.idle_until, min(now + policy.idle, self.absolute_until)))
        return msgspec.structs.replace(self, last_used_at=now, idle_until=idle_until)


class Session(msgspec.Struct, frozen=True):
    """`device` names the browser in words, `origin` whence the person last signed in; `secret` is a digest."""

    key: SessionKey
    subject: Subject
    secret: bytes
    created_at: Instant
    auth_time: Instant
    amr: tuple[str, ...]
    life: SessionLife
    epochs: Epochs = Epochs()
    acr: str | None = None
    origin: Origin = Origin()
    device: str = ""
    version: int = 1

    def __repr__(self) -> str:
        return f"Session({self.key.text}, {self.subject}, secret=***)"

    @property
    def sid(self) -> str:
        return self.key.text


def acr_of(amr: tuple[str, ...]) -> Acr | None:
    """The authentication context class that these methods (RFC 8176) reach."""
    return ACR_VALUES[0] if "pwd" in amr else None


def new_life(policy: SessionPolicy, now: Instant) -> SessionLife:
    absolute_until = Instant(now + policy.absolute)
    return SessionLife(now, min(Instant(now + policy.idle), absolute_until), absolute_until)


def why_session_over(session: Session, present: Epochs, now: Instant) -> SessionOver | None:
    """Why nobody is signed in by this session any more, or None while it lives."""
    return session.life.over(now) or ("cut_off" if session.epochs.behind(present) else None)
