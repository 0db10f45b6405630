"""Access tokens over HTTP, as values: what a request presents, and how it is refused.

Source: RFC 6750 §2.1, §3, §3.1; RFC 9449 §7.1; RFC 9700 §4.3.2 (no tokens in queries). Pure, whatever the framework:
asgi.py reads requests and sends answers. Of RFC 6750's three ways to present a token only the header is accepted.
Rule: a request that presents a token twice, or in another place, is told so even if one of them is good.
"""

import json
import re
from collections.abc import Collection, Iterable
from typing import Final, Self
from urllib.parse import unquote_to_bytes

_B64TOKEN: Final = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")
_QUOTABLE: Final = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]+")
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


class Refusal(Exception):
    """An answer instead of the API's. `code` is None where RFC 6750 §3.1 wants no error code.

    `key`: it was a key that was wanted, so the challenge is that of DPoP; `nonce` is the one to prove it with.
    """

    def __init__(
        self,
        status: int,
        code: str | None,
        description: str,
        scopes: Collection[str] = (),
        *,
        key: bool = False,
        nonce: str = "",
    ) -> None:
        super().__init__(description)
        self.key = key
        self.nonce = nonce
        self.status = status
        self.code = code
        self.description = description
        self.scopes = scopes

    @classmethod
    def missing(cls) -> Self:
        return cls(401, None, "An access token is needed in the Authorization header.")

    @classmethod
    def malformed(cls, description: str) -> Self:
        return cls(400, "invalid_request", description)

    @classmethod
    def invalid(cls, reason: str) -> Self:
        return cls(401, "invalid_token", f"The access token is refused: {reason}.")

    @classmethod
    def insufficient(cls, scopes: Collection[str]) -> Self:
        return cls(403, "insufficient_scope", "The access token does not reach this far.", scopes)

    @classmethod
    def unproved(cls, code: str, description: str, nonce: str = "") -> Self:
        """RFC 9449 §7.1."""
        return cls(401, code, description, key=True, nonce=nonce)

    @classmethod
    def unavailable(cls) -> Self:
        return cls(503, "temporarily_unavailable", "The access token could not be checked just now.")

    def headers(self, realm: str, keys: str = "", metadata: str = "") -> list[tuple[str, str]]:
        """`keys` is the challenge for tokens bound to a key, where they are taken: told beside Bearer if none came.
        `metadata` is where the API says who issues its tokens (RFC 9728 §5.1)."""
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        if self.status == 503:
            return [*headers, ("Retry-After", "1")]
        if self.nonce:
            headers.append(("DPoP-Nonce", self.nonce))
        challenge = keys if self.key else f'Bearer realm="{realm}"'
        if metadata:
            challenge += f', resource_metadata="{metadata}"'
        if keys and not self.code:
            challenge += f", {keys}"
        if self.code:
            challenge += f', error="{self.code}", error_description="{self.description}"'
        if self.scopes:
            challenge += f', scope="{" ".join(sorted(self.scopes))}"'
        return [*headers, ("WWW-Authenticate", challenge)]

    def body(self) -> bytes:
        error = {"error": self.code} if self.code else {}
        return json.dumps({**error, "error_description": self.description}).encode()


def presented_token(
    headers: Iterable[tuple[bytes, bytes]], query: bytes, form: bytes, schemes: Collection[bytes] = (b"bearer",)
) -> tuple[bytes, str]:
    """The one token of a request, and which of the `schemes` it came in.

    Raises Refusal: 401 if there is none, 400 if it is misplaced or malformed. Header names in any case. `form` is the
    body if it is a form, else empty.
    """
    if _names_token(query):
        raise Refusal.malformed("An access token is not accepted in the query.")
    if _names_token(form):
        raise Refusal.malformed("An access token is not accepted in the body.")
    given = [value for name, value in headers if name.lower() == b"authorization"]
    if len(given) > 1:
        raise Refusal.malformed("There is more than one Authorization header.")
    scheme, _, token = given[0].strip().partition(b" ") if given else (b"", b"", b"")
    if scheme.lower() not in schemes:
        raise Refusal.missing()
    token = token.strip(b" ")
    if not _B64TOKEN.fullmatch(token):
        raise Refusal.malformed("The Authorization header does not hold one token.")
    return scheme.lower(), token.decode("ascii")


def is_realm(text: str) -> bool:
    return _QUOTABLE.fullmatch(text) is not None


def is_scope_token(text: str) -> bool:
    return _SCOPE_TOKEN.fullmatch(text) is not None


def _names_token(form: bytes) -> bool:
    names = (pair.partition(b"=")[0].replace(b"+", b" ") for pair in form.split(b"&"))
    return any(unquote_to_bytes(name) == b"access_token" for name in names)
