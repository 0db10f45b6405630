"""People, as far as tokens need to know them: who signs in, and what an ID token may say of them.

Source: OpenID Connect Core §5.1 (standard claims), §5.4 (which scope asks for which claim).
"""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detent.core.errors import InvalidRequest
from detent.core.ids import Instant, Subject

CLAIMS_OF_SCOPE: Final[dict[str, tuple[str, ...]]] = {
    "profile": (
        "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
        "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}  # fmt: skip


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """OpenID Connect Core §5.1.1."""

    formatted: str = ""
    street_address: str = ""
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


# What is not text (§5.1); clients take a number or a flag that came as text for nothing at all.
CLAIM_TYPES: Final[dict[str, type]] = {
    "email_verified": bool,
    "phone_number_verified": bool,
    "updated_at": int,
    "address": Address,
}


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """`password_hash` is an argon2id string, empty where the person has no password; `epoch` is the cut-off."""

    subject: Subject
    username: str
    created_at: Instant
    password_hash: str = ""
    claims: dict[str, Any] = {}
    enabled: bool = True
    epoch: int = 0
    version: int = 1

    def __repr__(self) -> str:
        return f"User({self.subject}, {self.username!r}, password_hash=***)"


def checked_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return them if they are standard claims of the right types. Raises InvalidRequest."""
    known = {name for names in CLAIMS_OF_SCOPE.values() for name in names}
    for name, value in claims.items():
        if name not in known:
            raise InvalidRequest(f"{name[:100]} is no standard claim (OpenID Connect Core 5.1).")
        try:
            msgspec.convert(value, CLAIM_TYPES.get(name, str))
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"The claim {name} is not what it must be: {error}.") from None
    return dict(claims)


def canonical_username(text: str) -> str:
    """One spelling per person: NFKC, case folded, trimmed (RFC 8265 §3.3). Twins meet here."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
