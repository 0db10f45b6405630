"""What a person allowed which app, remembered and taken back.

Source: OpenID Connect Core §3.1.2.4, RFC 6749 §10.2. What a consent covers is core/consent.py. Rule: a consent that
is withdrawn takes every token of that app with it, in the same commit.
"""

from detent.core.changes import EndFamilies, Part, RemoveConsent, SaveConsent, changed
from detent.core.consent import Consent, Leave, widened
from detent.core.events import Event
from detent.core.ids import ClientId, Instant, Subject, placement_of
from detent.identity.attempts import on_what_is_stored
from detent.ports import EventSink, Store


class Consents:
    def __init__(self, store: Store, sink: EventSink) -> None:
        self._store = store
        self._sink = sink

    async def given(self, subject: Subject, client_id: ClientId) -> Consent | None:
        return await self._store.consent(subject, client_id)

    async def allow(
        self, subject: Subject, client_id: ClientId, asked: Leave, now: Instant, support_id: str = ""
    ) -> None:
        """The person said yes to `asked`; what they allowed before stands beside it."""
        scopes = " ".join(dict.fromkeys(name for scope in asked.values() for name in scope))
        event = Event("consent_given", now, subject, client_id, subject, reason=scopes, support_id=support_id)

        async def attempt() -> None:
            before = await self._store.consent(subject, client_id)
            await self._commit(SaveConsent(widened(before, subject, client_id, asked, now)), event=event)

        await on_what_is_stored(attempt)

    async def withdraw(self, subject: Subject, client_id: ClientId, now: Instant, support_id: str = "") -> None:
        """Afterwards the app is allowed nothing and every family of this person at it is dead, for good."""
        event = Event("consent_withdrawn", now, subject, client_id, subject, support_id=support_id)
        ended = EndFamilies(placement_of(subject), subject, "consent_withdrawn", client_id=client_id)
        await self._commit(RemoveConsent(subject, client_id), ended, event=event)

    async def _commit(self, *parts: Part, event: Event) -> None:
        await self._store.apply(changed(*parts, events=(event,)))
        self._sink.emit(event)
