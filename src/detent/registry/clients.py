"""The one door to the clients, as a feature sees it by which clients register themselves: admin/registrations.py."""

from collections.abc import Mapping
from typing import Any, Protocol

from detent.core.changes import Part
from detent.core.client import Client
from detent.core.policy import ClientKind


class Registrar(Protocol):
    async def register(
        self,
        kind: ClientKind,
        fields: Mapping[str, Any],
        by: str,
        token_digest: bytes = b"",
        also: tuple[Part, ...] = (),
        client_id: str | None = None,
    ) -> tuple[Client, str | None]:
        """The new client and its secret. Raises InvalidClientMetadata, and Conflict as `also` does."""
        ...

    async def change(self, client: Client, fields: Mapping[str, Any]) -> Client:
        """Raises InvalidClientMetadata, ChangedMeanwhile."""
        ...

    async def remove_client(self, client_id: str) -> Client: ...
