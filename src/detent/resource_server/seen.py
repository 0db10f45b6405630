"""Tokens that were found good before: an app that calls a thousand times with one token costs one signature check.

What was found stays true as long as the key set is the very one that it was found with, until the token's `exp`:
nothing else about a signed token can change. Rule: what ends a token early is asked elsewhere, each time
(introspection, status lists); and no token is kept, only its SHA-256.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from detent.resource_server.keys import VerificationKeys
from detent.resource_server.verify import Claims, Verifier

MOST: Final = 4096  # about three kilobytes each


class SeenTokens:
    """For one thread. `verify` is that of `Verifier`, faster for a token that comes again."""

    def __init__(self, verifier: Verifier, most: int = MOST) -> None:
        self._verifier = verifier
        self._most = most
        self._seen = OrderedDict[bytes, tuple[VerificationKeys, Claims]]()

    def verify(self, token: str, keys: VerificationKeys, now: float) -> Claims:
        raw = token.encode(errors="surrogatepass")
        name = sha256(raw).digest()
        seen = self._seen.get(name)
        if seen and seen[0] is keys and now < seen[1].exp:
            return seen[1]
        claims = self._verifier.verify(raw, keys, now)
        self._seen[name] = keys, claims
        if seen:
            self._seen.move_to_end(name)
        elif len(self._seen) > self._most:
            self._seen.popitem(last=False)  # the one that was checked longest ago
        return claims
