"""People: let in by password, added, changed, cut off. Every change is one `Changes` with its events.

Source: RFC 9700 §4.15 (a client's id is nobody's subject), OpenID Connect Core §2 (`sub`). What ends a person's
tokens is the raised `epoch` (core/authorization). Leaves hashing to passwords.py, names to usernames.py.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from detent.core.changes import InsertUser, RemoveUser, ReplaceUser, changed
from detent.core.errors import Conflict, InvalidRequest, TemporarilyUnavailable
from detent.core.events import Event, EventName
from detent.core.ids import Subject
from detent.core.people import User, canonical_username, checked_claims
from detent.identity.attempts import on_what_is_stored
from detent.identity.passwords import Passwords
from detent.identity.usernames import checked_username
from detent.ports import Clock, Directory, Entropy, Store

_SUBJECT: Final = re.compile(r"[\x21-\x7E]{1,255}")


class UnknownUser(InvalidRequest):
    status = 404


class Taken(InvalidRequest):
    """Somebody has this username or subject; what that costs to find out is what a new person costs."""


class People:
    def __init__(
        self, directory: Directory, store: Store, passwords: Passwords, clock: Clock, entropy: Entropy
    ) -> None:
        self._directory = directory
        self._store = store
        self._passwords = passwords
        self._clock = clock
        self._entropy = entropy

    async def verify(self, username: str, password: str) -> User | None:
        """The person, if this is the password and they may sign in; None says nothing of why not, nor does the time.

        Raises TemporarilyUnavailable when too many people sign in at once.
        """
        user = await self.named(username)
        matches = await self._passwords.verify(user.password_hash if user else "", password)
        if user is None or not matches or not user.enabled:
            return None
        return await self._rehashed(user, password)

    async def named(self, username: str) -> User | None:
        """Whoever signs in under this name."""
        try:
            checked_username(username)
        except InvalidRequest:
            return None
        return await self._directory.user_by_name(username)

    async def has_name_of(self, username: str, subjects: Iterable[str]) -> bool:
        """Whether this is the name of one of these people; they are read and not the name, so the time says nothing."""
        people = [await self._directory.user(subject) for subject in subjects]
        name = canonical_username(username)
        return any(canonical_username(user.username) == name for user in people if user)

    async def add(
        self,
        username: str,
        password: str | None,
        claims: dict[str, Any] | None = None,
        subject: str | None = None,
        *,
        reason: str = "",
        network: str = "",
        support_id: str = "",
    ) -> User:
        """A new person; without a password nobody signs in as them by one. Raises InvalidRequest, Taken.

        `reason`, `network` and `support_id` are for the event.
        """
        shown = checked_username(username)
        subject = self._entropy.token_bytes(16).hex() if subject is None else subject
        if not _SUBJECT.fullmatch(subject) or await self._store.client(subject):
            raise InvalidRequest("A subject has 1 to 255 ASCII characters without spaces, and is no client's id.")
        stored = "" if password is None else await self._passwords.hash(password)
        now = self._clock.now()
        told = {**checked_claims(claims), "updated_at": now} if claims else {}
        user = User(Subject(subject), shown, now, stored, told)
        event = replace(self._told("user_added", user, reason), network=network, support_id=support_id)
        try:
            await self._store.apply(changed(InsertUser(user), events=(event,)))
        except Conflict:
            raise Taken("This username or subject is taken; a removed person's subject stays so.") from None
        return user

    async def set_password(self, subject: str, password: str) -> User:
        """Cuts off everything issued to the person until now. Raises InvalidRequest and UnknownUser."""
        stored = await self._passwords.hash(password)
        return await self._replace(
            subject, "password set", lambda user: replace(user, password_hash=stored, epoch=user.epoch + 1)
        )

    async def disable(self, subject: str) -> User:
        """Cuts off everything issued until now; enabling again revives nothing of it. Raises UnknownUser."""
        return await self._replace(
            subject, "disabled", lambda user: replace(user, enabled=False, epoch=user.epoch + user.enabled)
        )

    async def enable(self, subject: str) -> User:
        """Raises UnknownUser."""
        return await self._replace(subject, "enabled", lambda user: replace(user, enabled=True))

    async def set_claims(self, subject: str, claims: dict[str, Any]) -> User:
        """What is told of the person from now on (OpenID Connect Core §5.1). Raises UnknownUser, InvalidRequest."""
        updated_at = {"updated_at": self._clock.now()}
        told = checked_claims(claims) | updated_at

        def change(user: User) -> User:
            return user if user.claims | updated_at == told else replace(user, claims=told)

        return await self._replace(subject, "claims set", change)

    async def remove(self, subject: str) -> None:
        """The person and, in the same commit, everything issued to them. Raises UnknownUser."""

        async def attempt() -> None:
            user = await self._existing(subject)
            events = (self._told("user_removed", user),)
            await self._store.apply(changed(RemoveUser(user.subject, user.version), events=events))

        await on_what_is_stored(attempt)

    async def _replace(self, subject: str, reason: str, change: Callable[[User], User]) -> User:
        """Write what `change` makes of the person; nothing if it changes nothing."""

        async def attempt() -> User:
            user = await self._existing(subject)
            new = change(user)
            if new == user:
                return user
            events = [self._told("user_updated", user, reason)]
            if new.epoch > user.epoch:
                events.append(self._told("cut_off_raised", user, reason))
            new = replace(new, version=user.version + 1)
            await self._store.apply(changed(ReplaceUser(new), events=tuple(events)))
            return new

        return await on_what_is_stored(attempt)

    async def _rehashed(self, user: User, password: str) -> User:
        """Keep up with today's parameters; whoever signs in does not wait for a second try, nor fail by it."""
        if not self._passwords.needs_rehash(user.password_hash):
            return user
        try:
            stored = await self._passwords.hash(password)
            new = replace(user, password_hash=stored, version=user.version + 1)
            await self._store.apply(changed(ReplaceUser(new), events=(self._told("user_updated", user, "rehashed"),)))
        except (Conflict, TemporarilyUnavailable):
            return user
        return new

    async def _existing(self, subject: str) -> User:
        user = await self._directory.user(subject) if _SUBJECT.fullmatch(subject) else None
        if user is None:
            raise UnknownUser("There is no person with this subject.")
        return user

    def _told(self, name: EventName, user: User, reason: str = "") -> Event:
        return Event(name, self._clock.now(), about=user.subject, subject=user.subject, reason=reason)
