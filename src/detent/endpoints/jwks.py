"""`/.well-known/jwks.json` (RFC 7517 §5): the public keys that verify what we sign, and those to encrypt to us.

RSA signatures only, until an API or a client chooses something else: several client libraries reject a set that holds
any other key.
"""

from typing import Final

from detent.core.api import SIGNING_ALGS
from detent.core.encryption import OWN_ALGS
from detent.core.exchange import Request, Response
from detent.ports import Keys
from detent.registry.routes import Route
from detent.web.respond import json_public

JWKS_MAX_AGE: Final = 300
_PUBLISHED: Final = frozenset({*SIGNING_ALGS, *OWN_ALGS})


class JwksEndpoint:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def route(self) -> Route:
        return Route("/.well-known/jwks.json", ("GET",), self.handle, metadata="jwks_uri", cors="everybody")

    async def handle(self, request: Request) -> Response:
        return json_public({"keys": self._keys.public_jwks(_PUBLISHED)}, JWKS_MAX_AGE)
