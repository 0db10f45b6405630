"""Scopes: how they are read, and how they narrow (RFC 6749 §3.3, §6).

A scope set is a tuple without repeats in the order it was asked for; its meaning is that of a set.
"""

import re

from detent.core.errors import InvalidScope

Scope = tuple[str, ...]

OPENID, OFFLINE_ACCESS = "openid", "offline_access"
IDENTITY_SCOPES: Scope = (OPENID, "profile", "email", "address", "phone", OFFLINE_ACCESS)

MAX_SCOPES = 128
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}")


def is_scope_token(text: str) -> bool:
    """RFC 6749 Appendix A.4: printable ASCII without space, quote and backslash."""
    return _SCOPE_TOKEN.fullmatch(text) is not None


def parse_scope(text: str) -> Scope:
    """Read a space-separated list. Raises InvalidScope for no name, other characters or more than 128 names."""
    names = text.split(" ")
    if len(names) > MAX_SCOPES:
        raise InvalidScope(f"At most {MAX_SCOPES} scopes can be asked for at once.")
    scope = tuple(dict.fromkeys(name for name in names if name))
    if not scope:
        raise InvalidScope("The scope parameter names no scope.")
    for name in scope:
        if not is_scope_token(name):
            raise InvalidScope("The scope parameter holds a character that a scope cannot have.")
    return scope


def narrow(asked: Scope, granted: Scope) -> Scope:
    """Return `asked` if it stays within `granted`. Raises InvalidScope otherwise (RFC 6749 §6)."""
    beyond = [name for name in asked if name not in granted]
    if beyond:
        raise InvalidScope(f"The scope goes beyond what was granted: {' '.join(beyond)[:200]}.")
    return asked
