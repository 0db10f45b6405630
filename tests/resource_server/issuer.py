"""The authorization server as an API sees it: a `Fetch` that answers what it is told to, and counts."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detent.resource_server import Response, Unavailable
from tests.resource_server.minting import jwks

JWKS_URL = "https://id.example/.well-known/jwks.json"
INTROSPECTION_URL = "https://id.example/oauth/introspect"


@dataclass
class Issuer:
    """`document` is answered as JSON, bytes as they are, None as a network failure."""

    document: Any = field(default_factory=jwks)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, str], bytes | None]] = field(default_factory=list)
    open_door: asyncio.Event | None = None

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        self.requests.append((url, headers, body))
        if self.open_door:
            await self.open_door.wait()
        if self.document is None:
            raise Unavailable("no route to the issuer")
        raw = self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()
        return Response(self.status, self.headers, raw)
