"""Cookies of the people's pages: named, hardened and read in one place.

Source: RFC 6265bis §4.1.3 (`__Host-`), §5.6; OAuth 2.0 for Browser-Based Apps (RFC 10017) on silent authentication.
Under https every cookie is `__Host-`, Secure, HttpOnly and SameSite=None: a registered app may ask silently from its
own site (`web_message`), and a request may be posted to us. So a cookie alone proves nothing about who sent a form;
that is the form's own token (endpoints/visitor.py). On loopback http they are Lax, and carry the port, because
cookies know no ports.
"""

from typing import Final
from urllib.parse import urlsplit

from detent.core.exchange import Request

SESSION: Final = "session"
BROWSER: Final = "browser"
DEVICE: Final = "device"
_MAX_VALUE: Final = 4096

Header = tuple[str, str]


class Cookies:
    def __init__(self, issuer: str) -> None:
        parts = urlsplit(issuer)
        if parts.scheme == "https":
            self._prefix, self._suffix = "__Host-detent_", ""
            self._attributes = "Path=/; Secure; HttpOnly; SameSite=None"
        else:
            self._prefix, self._suffix = "detent_", f"_{parts.port or 80}"
            self._attributes = "Path=/; HttpOnly; SameSite=Lax"

    def read(self, request: Request, name: str) -> str | None:
        """The value; None where there is none, more than one, or one that is too long to be ours."""
        wanted = self._name(name)
        pairs = (pair.strip().partition("=") for pair in request.headers.get("cookie", "").split(";"))
        values = [value for key, _, value in pairs if key == wanted]
        return values[0] if len(values) == 1 and 0 < len(values[0]) <= _MAX_VALUE else None

    def set(self, name: str, value: str, max_age: int) -> Header:
        """`value` is of our own making (base64url); `max_age` is seconds."""
        return "set-cookie", f"{self._name(name)}={value}; Max-Age={max_age}; {self._attributes}"

    def clear(self, name: str) -> Header:
        return self.set(name, "", 0)

    def _name(self, name: str) -> str:
        return f"{self._prefix}{name}{self._suffix}"
