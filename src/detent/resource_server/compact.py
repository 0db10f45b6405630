"""What a compact JWS says, read strictly and not yet believed.

Source: RFC 7515 §2, §7.1; RFC 8259; RFC 8725 §2.4, §3.7. Two parsers that disagree about one token are a
hole, so what could be read in two ways is refused. Believing it is up to verify.py.
Rule: bounded before decoded; raised outside `except`, so that no error carries the text it is about.
"""

import binascii
import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NoReturn

from detent.resource_server.errors import InvalidToken

MAX_TOKEN_BYTES: Final = 16_384
# Nesting needs a bracket per level: counting brackets bounds the depth without a parser of our own.
_MAX_BRACKETS: Final = 512
_MAX_INTEGER_DIGITS: Final = 20
_TO: Final = bytes.maketrans(b"+/", b"-_")
_FROM: Final = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class CompactJws:
    """The decoded parts of `header.payload.signature`; only the header is parsed."""

    header: dict[str, Any] = field(repr=False)
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse_compact(token: str | bytes, max_bytes: int = MAX_TOKEN_BYTES) -> CompactJws:
    """Take a token apart. Raises InvalidToken unless it is three canonical segments, an object in front."""
    header, payload, signature = _segments(token, max_bytes)
    members = _header(header)
    if members is None:
        raise InvalidToken("the header is not a plain JSON object")
    return CompactJws({**members}, base64url(payload), header + b"." + payload, base64url(signature))


def header_of(token: str) -> dict[str, Any] | None:
    """What a compact JWS says of itself; None for what is none. The rest of it is not looked at."""
    try:
        return _header(_segments(token, MAX_TOKEN_BYTES)[0])
    except InvalidToken:
        return None


def _segments(token: str | bytes, max_bytes: int) -> list[bytes]:
    """Still encoded. Raises InvalidToken unless they are three."""
    if len(token) > max_bytes:
        raise InvalidToken("the token is too long")
    raw = token if isinstance(token, bytes) else token.encode("utf-8", "replace")
    if raw.count(b".") != 2:
        raise InvalidToken("the token is not a compact JWS")
    return raw.split(b".")


@lru_cache(64)  # all tokens of a key begin alike
def _header(segment: bytes) -> dict[str, Any] | None:
    return load_object(base64url(segment))


def load_object(raw: bytes) -> dict[str, Any] | None:
    """Read one JSON object; None for anything else and for whatever two parsers could read differently."""
    if raw.count(b"[") + raw.count(b"{") > _MAX_BRACKETS:
        return None
    try:
        value = _decode(raw.decode("utf-8"))
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # an escape can name half a character
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def base64url(segment: bytes) -> bytes:
    """RFC 7515 §2: whatever does not encode back to itself (padding, `+/`, blanks, spare bits) is refused."""
    try:
        decoded = binascii.a2b_base64(segment.translate(_FROM) + b"=" * (-len(segment) % 4))
    except ValueError:
        decoded = b""
    if binascii.b2a_base64(decoded, newline=False).translate(_TO).rstrip(b"=") != segment:
        raise InvalidToken("a segment of the token is not base64url")
    return decoded


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError("integer out of bounds")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of bounds")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode
