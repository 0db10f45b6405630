"""JWTs that we signed ourselves, read back by the verifier of the APIs and by the keys that we publish.

Access tokens (jwt.py) and ID tokens (id_token.py); what each must be, its Verifier says. Rule: a key that is unknown
here may be new, so it is looked for (ports.Keys) before the token is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from detent.core.api import SIGNING_ALGS
from detent.ports import Keys
from detent.resource_server.compact import load_object, parse_compact
from detent.resource_server.errors import InvalidToken, UnknownKey
from detent.resource_server.keys import VerificationKeys
from detent.resource_server.seen import SeenTokens
from detent.resource_server.verify import Claims, Verifier

_ALGS: Final = frozenset(SIGNING_ALGS)


class OwnTokens:
    def __init__(self, keys: Keys, verifier: Verifier | SeenTokens) -> None:
        self._keys = keys
        self._verifier = verifier
        self._published: Sequence[Mapping[str, Any]] = ()
        self._held: tuple[tuple[str, ...], VerificationKeys] = ((), VerificationKeys())

    def read(self, token: str, now: float) -> Claims | None:
        """None for anything but such a token, authentic and good at `now`. Raises KeyUnknown, as ports.Keys says."""
        try:
            return self._verifier.verify(token, self._verification_keys(), now)
        except UnknownKey:
            self._keys.missed()
        except InvalidToken:
            pass
        return None

    def _verification_keys(self) -> VerificationKeys:
        """Import a key once, not per token; a rotation changes the kids and so the set."""
        jwks = self._keys.public_jwks(_ALGS)
        if jwks is not self._published:
            self._published, kids = jwks, tuple([jwk["kid"] for jwk in jwks])
            if kids != self._held[0]:
                self._held = kids, VerificationKeys.from_jwks({"keys": jwks})
        return self._held[1]


def said(token: str) -> Mapping[str, Any] | None:
    """What a JWT claims, which anybody may have written; None where that cannot be read."""
    try:
        return load_object(parse_compact(token).payload)
    except InvalidToken:
        return None
