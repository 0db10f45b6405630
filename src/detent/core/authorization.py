"""What a person (or a client for itself) allowed: the durable permission behind every token.

Source: RFC 6749 §1.3, §4.1. An `Authorization` never changes after it is made: scope, audience, binding and
auth_time cannot grow. `PendingAuthorization` is the same before redemption: what a sealed code carries.
"""

import hashlib
import re
from typing import Any

import msgspec

from detent.core.base64url import base64url
from detent.core.confirmation import BEARER, Confirmation
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.core.scope import OFFLINE_ACCESS, Scope

_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


class Epochs(msgspec.Struct, frozen=True):
    """Cut-offs as counters: what was issued under a lower number than the present one is void."""

    user: int = 0
    client: int = 0
    server: int = 0

    def behind(self, present: "Epochs") -> bool:
        return self.user < present.user or self.client < present.client or self.server < present.server


class Authorization(msgspec.Struct, frozen=True, omit_defaults=True):
    """`audience` lists the identifiers of every API it reaches (RFC 8707); `extra` belongs to features.

    `number` is this authorization's own among all of the installation, for features that publish lists of them.
    """

    client_id: ClientId
    subject: Subject
    scope: Scope
    audience: tuple[str, ...]
    created_at: Instant
    auth_time: Instant
    amr: tuple[str, ...] = ()
    acr: str | None = None
    session_id: str | None = None
    cnf: Confirmation = BEARER
    epochs: Epochs = Epochs()
    extra: dict[str, Any] = {}
    number: int | None = None

    @property
    def ends_with_session(self) -> bool:
        """OpenID Connect Core §11: only with `offline_access` does what was granted outlive the session."""
        return self.session_id is not None and OFFLINE_ACCESS not in self.scope


class PendingAuthorization(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of an authorization code: an `Authorization` to be, and what its redemption must prove."""

    key: FamilyKey
    authorization: Authorization
    expires_at: Instant
    redirect_uri: str | None = None
    code_challenge: str | None = None
    nonce: str | None = None


def is_code_verifier(text: str) -> bool:
    """RFC 7636 §4.1: 43 to 128 unreserved characters."""
    return _VERIFIER.fullmatch(text) is not None


def code_challenge_s256(code_verifier: str) -> str:
    """RFC 7636 §4.2, S256."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64url(digest)
