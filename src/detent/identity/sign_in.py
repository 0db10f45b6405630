"""Signing in by name and password: throttled, checked, told of.

Source: RFC 6749 §10.10, ASVS 5 §6.3. How much may fail is throttle.py, the check itself people.py. Rules: a guess
that is refused unheard costs neither a hash nor a read of whoever it names; nothing that was typed is ever told, for
people type passwords into the field for the name.
"""

from typing import Final

from detent.core.changes import Changes
from detent.core.errors import SlowDown, TemporarilyUnavailable
from detent.core.events import Event
from detent.core.exchange import network_of
from detent.core.ids import Instant
from detent.core.people import User, canonical_username
from detent.identity.people import People
from detent.identity.throttle import Bound, Throttle
from detent.ports import EventSink, Meter, Store

_RAN_DRY: Final[dict[Bound, str]] = {
    "account_here": "one account from one address",
    "address": "many accounts from one address",
    "network": "many accounts from one network",
    "account": "one account from many networks",
    "everywhere": "many accounts from many networks",
}


class SignIn:
    def __init__(self, people: People, throttle: Throttle, sink: EventSink, store: Store, meter: Meter) -> None:
        self._meter = meter
        self._people = people
        self._throttle = throttle
        self._sink = sink
        self._store = store

    async def verify(
        self,
        username: str,
        password: str,
        *,
        peer: str,
        known: frozenset[str] = frozenset(),
        now: Instant,
        support_id: str = "",
    ) -> User | None:
        """The person, if this is the password and they may sign in; None says nothing of why not, nor does the time.

        `peer` is the address of the other end of the connection, `known` the subjects of those who signed in with
        this browser before. Raises SlowDown after too many failures, and TemporarilyUnavailable.
        """
        is_known = await self._people.has_name_of(username, known)
        try:
            async with self._throttle.guess(canonical_username(username), peer, now, known=is_known) as guess:
                user = await self._people.verify(username, password)
                dry = [] if user else guess.failed()
        except (SlowDown, TemporarilyUnavailable) as refusal:
            self._meter.count("sign_ins", "throttled" if isinstance(refusal, SlowDown) else "busy")
            raise
        self._meter.count("sign_ins", "good" if user else "wrong")
        if user is None:
            self._sink.emit(Event("sign_in_failed", now, network=network_of(peer), support_id=support_id))
        if dry:
            await self._alarm(username, dry, peer, now, support_id)
        return user

    async def _alarm(self, username: str, dry: list[Bound], peer: str, now: Instant, support_id: str) -> None:
        user = await self._people.named(username)
        events = tuple(_throttled(bound, user, peer, now, support_id) for bound in dry)
        for event in events:
            self._sink.emit(event)
        await self._store.apply(Changes((), events))


def _throttled(bound: Bound, user: User | None, peer: str, now: Instant, support_id: str) -> Event:
    """About the account, where it is the account that ran dry and it exists."""
    subject = user.subject if user and bound in ("account_here", "account") else ""
    network = network_of(peer)
    return Event(
        "sign_in_throttled",
        now,
        about=subject,
        subject=subject,
        reason=_RAN_DRY[bound],
        network=network,
        support_id=support_id,
    )
