"""What a client is told of a person, and under which subject.

Source: OpenID Connect Core §5.4, §5.5 (claims), §8 (subject types). Which claims were asked for says each registered
`Release`, under which name a person is known to a client its registered `SubjectType`. The person is read only where
a claim was asked for.
"""

from collections.abc import Mapping
from typing import Any

from detent.core.authorization import Authorization
from detent.core.client import Client
from detent.core.ids import Subject
from detent.core.people import User
from detent.core.scope import Scope
from detent.core.wishes import Place, Wish, fulfilled
from detent.ports import Directory
from detent.registry.tokens import Release, SubjectType, subject_type_of


class Disclosure:
    def __init__(
        self, directory: Directory, releases: Mapping[str, Release], subject_types: Mapping[str, SubjectType]
    ) -> None:
        self._directory = directory
        self._releases = releases
        self._subject_types = subject_types

    def subject(self, subject: Subject, client: Client) -> str:
        """The `sub` of this person at this client. Raises UnauthorizedClient where its subject type is not offered."""
        return subject_type_of(client, self._subject_types).told(subject, client)

    def sid(self, session_id: str | None, client: Client) -> str | None:
        """The session as this client knows it: one `sid` everywhere would join what subjects keep apart."""
        return self.subject(Subject(session_id), client) if session_id else None

    async def person(
        self, authorization: Authorization, client: Client, scope: Scope, place: Place, user: User | None = None
    ) -> dict[str, Any]:
        """Claims about the person for `place`, of an authorization used with `scope`; `user` if already read."""
        wishes: dict[str, Wish] = {}
        for release in self._releases.values():
            wishes |= release.asked(authorization, client, scope, place)
        if not wishes:
            return {}
        user = user or await self._directory.user(authorization.subject)
        return fulfilled(wishes, user) if user else {}


class Public:
    """§8: one and the same at every client."""

    name = "public"

    def told(self, subject: Subject, client: Client) -> str:
        return subject
