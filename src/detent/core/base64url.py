"""base64url without padding (RFC 7515 §2, RFC 4648 §5): how bytes travel in tokens, ids and references.

Straight from `binascii`: the functions of `base64` take three times as long, and an answer holds six of these.
"""

import binascii
from typing import Final

_TO: Final = bytes.maketrans(b"+/", b"-_")
_FROM: Final = bytes.maketrans(b"-_+/", b"+/**")  # what is not of this alphabet stays out of it


def base64url(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).translate(_TO).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes | None:
    """None for what `base64url` did not make: there is exactly one spelling of each value."""
    try:
        given = text.encode("ascii")
        raw = binascii.a2b_base64(given.translate(_FROM) + b"=" * (-len(given) % 4), strict_mode=True)
    except ValueError:  # UnicodeEncodeError and binascii.Error are of this kind
        return None
    if len(given) % 4 or text.endswith("="):  # else there is no other spelling
        return raw if base64url(raw) == text else None
    return raw
