"""Names of the things that other rooms pass around.

An `Instant` is a whole number of Unix seconds and `Seconds` a length of time: OAuth speaks in whole seconds
(RFC 7519 §2 NumericDate, RFC 6749 §5.1 `expires_in`), so one unit holds from the wire to the row.
"""

import hashlib
from typing import NewType, Self

import msgspec

from detent.core.base64url import base64url, from_base64url

Instant = NewType("Instant", int)
Seconds = NewType("Seconds", int)
ClientId = NewType("ClientId", str)
Subject = NewType("Subject", str)


def placement_of(subject: str) -> int:
    """The shard number (0..65535) that all rows of one subject share, so a hot statement touches one shard."""
    return int.from_bytes(hashlib.blake2b(subject.encode(), digest_size=2).digest(), "big")


class PlacedKey(msgspec.Struct, frozen=True, order=True):
    """Where a row lives: the placement of its subject and 128 random bits (RFC 6749 §10.10)."""

    placement: int
    id: bytes

    @property
    def text(self) -> str:
        """24 characters, base64url."""
        return base64url(self.placement.to_bytes(2, "big") + self.id)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        raw = from_base64url(text)
        return cls(int.from_bytes(raw[:2], "big"), raw[2:]) if raw and len(raw) == 18 else None


class FamilyKey(PlacedKey, frozen=True):
    """Its text is what `authorization_id` in an access token and the command line show."""


class SessionKey(PlacedKey, frozen=True):
    """Its text is the `sid` of ID tokens and logout."""
