"""An ID token that comes back as `id_token_hint`: whose it was, of which client and session.

Source: OpenID Connect Core §3.1.2.1, OpenID Connect RP-Initiated Logout §2: it may have expired long ago. A hint is
believed for what it says of the past; it signs nobody in.
"""

from typing import Final

import msgspec

from detent.core.ids import ClientId, Subject
from detent.ports import Keys
from detent.resource_server.compact import load_object, parse_compact
from detent.resource_server.errors import InvalidToken
from detent.resource_server.keys import VerificationKeys
from detent.resource_server.verify import Audience, Verifier
from detent.tokens.mint import ID_TOKEN_ALG

_ALGS: Final = frozenset({str(ID_TOKEN_ALG)})


class Hint(msgspec.Struct, frozen=True):
    subject: Subject
    client_id: ClientId
    sid: str | None


class Hints:
    def __init__(self, issuer: str, keys: Keys) -> None:
        self._verifier = Verifier(issuer, Audience.ANY, (ID_TOKEN_ALG,), types=("jwt",), required=("azp",))
        self._keys = keys

    def read(self, id_token: str) -> Hint | None:
        """What an ID token of ours says, expired or not; None for anything else."""
        keys = VerificationKeys.from_jwks({"keys": self._keys.public_jwks(_ALGS)})
        try:
            claims = self._verifier.verify(id_token, keys, _issued_at(id_token))
        except InvalidToken:
            return None
        sid = claims.raw.get("sid")
        return Hint(Subject(claims.sub), ClientId(claims.raw["azp"]), sid if isinstance(sid, str) else None)


def _issued_at(token: str) -> float:
    """Checked as of when it was made; the signature then says that it was us."""
    claims = load_object(parse_compact(token).payload) or {}
    issued_at = claims.get("iat")
    return issued_at if type(issued_at) is int else 0
