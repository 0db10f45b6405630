"""Opaque access tokens: sealed handles that hold their claims, so no row is kept for them.

Only this server can read one; an API asks by introspection (RFC 7662). Rule: nothing of it is readable outside.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from detent.core.api import SigningAlg
from detent.core.ids import Instant
from detent.tokens.handle import ACCESS_PREFIX, Handles


class Opaque:
    name = "opaque"
    self_contained = False

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    async def mint(self, claims: dict[str, Any], alg: SigningAlg) -> str:
        """`alg` plays no part: the seal is symmetric."""
        return self._handles.seal(ACCESS_PREFIX, msgspec.msgpack.encode(claims))

    def recognises(self, token: str) -> bool:
        return token.startswith(ACCESS_PREFIX)

    def said(self, token: str) -> Mapping[str, Any] | None:
        """Its seal proves it, too."""
        content = self._handles.unseal(ACCESS_PREFIX, token)
        return msgspec.msgpack.decode(content, type=dict[str, Any]) if content is not None else None

    def read(self, token: str, audience: str | None, now: Instant) -> Mapping[str, Any] | None:
        claims = self.said(token)
        if claims is None or now >= claims["exp"] or (audience is not None and audience not in claims["aud"]):
            return None
        return claims
