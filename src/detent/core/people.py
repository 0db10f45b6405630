"""People, as far as tokens need to know them: who signs in, and what an ID token may say of them.

Source: OpenID Connect Core §5.1 (standard claims), §5.4 (which scope asks for which claim).
"""

import unicodedata
from typing import Any, Final

import msgspec

from detent.core.ids import Instant, Subject
from detent.core.scope import Scope

CLAIMS_OF_SCOPE: Final[dict[str, tuple[str, ...]]] = {
    "profile": (
        "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
        "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}  # fmt: skip


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


def canonical_username(text: str) -> str:
    """One spelling per person: NFKC, case folded, trimmed (RFC 8265 §3.3). Twins meet here."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def claims_for(user: User, scope: Scope) -> dict[str, Any]:
    """The claims about the person that these scopes ask for; `preferred_username` is always known."""
    known: dict[str, Any] = {"preferred_username": user.username, **user.claims}
    names = [name for asked in scope for name in CLAIMS_OF_SCOPE.get(asked, ())]
    return {name: known[name] for name in names if name in known}
