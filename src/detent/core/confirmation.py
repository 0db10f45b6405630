"""Sender constraint as a value: which key, if any, a token is bound to (RFC 7800 `cnf`).

DPoP and mTLS both turn a request into a `Confirmation`; codes, families and access tokens carry it, and one
comparison decides. A bearer token is the confirmation of nothing.
"""

from typing import Literal

import msgspec


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True):
    """`jkt` is a JWK thumbprint (RFC 9449 §6.1), `x5t_s256` a certificate thumbprint (RFC 8705 §3.1)."""

    jkt: str | None = None
    x5t_s256: str | None = msgspec.field(default=None, name="x5t#S256")

    @property
    def is_bearer(self) -> bool:
        return self.jkt is None and self.x5t_s256 is None

    @property
    def token_type(self) -> Literal["Bearer", "DPoP"]:
        return "DPoP" if self.jkt else "Bearer"

    def claim(self) -> dict[str, str] | None:
        """The `cnf` claim, or None for a bearer token."""
        return msgspec.to_builtins(self) or None

    def accepts(self, proved: "Confirmation") -> bool:
        """Whether a request that proved `proved` may use what is bound to this (bearer accepts everyone)."""
        return self.is_bearer or self == proved


BEARER = Confirmation()
