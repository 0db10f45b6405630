"""What a compact JWS says, read strictly and not yet believed.

Source: RFC 7515 §2, §7.1; RFC 8259; RFC 8725 §2.4, §3.7. Two parsers that disagree about one token are a
hole, so what could be read in two ways is refused. Believing it is up to verify.py.
Rule: bounded before decoded; raised outside `except`, so that no error carries the text it is about.
"""

import binascii
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn

import msgspec

from detent.resource_server.errors import InvalidToken

MAX_TOKEN_BYTES: Final = 16_384
# Nesting needs a bracket per level: counting brackets bounds the depth without a parser of our own.
_MAX_BRACKETS: Final = 512
_MAX_INTEGER_DIGITS: Final = 20
_DIGITS: Final = bytes.maketrans(b"-123456789", b"0" * 10)
_LONG_INTEGER: Final = b"0" * (_MAX_INTEGER_DIGITS + 1)
_FROM: Final = bytes.maketrans(b"-_+/", b"+/**")  # what is not of this alphabet stays out of it
_PADDING: Final = (b"", b"", b"==", b"=")
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# What may stand last, by how many characters are over after the whole fours: no padding, and no bits to spare.
_LAST: Final = (_ALPHABET, b"", _ALPHABET[::16], _ALPHABET[::4])


class CompactJws(msgspec.Struct, frozen=True, gc=False):
    """The decoded parts of `header.payload.signature`; only the header is parsed, and `head` is its very text."""

    head: bytes
    header: Mapping[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        return "CompactJws(***)"


def parse_compact(token: str | bytes, max_bytes: int = MAX_TOKEN_BYTES) -> CompactJws:
    """Take a token apart. Raises InvalidToken unless it is three canonical segments, an object in front."""
    if len(token) > max_bytes:
        raise InvalidToken("the token is too long")
    segments = (token if isinstance(token, bytes) else token.encode("utf-8", "replace")).split(b".")
    if len(segments) != 3:
        raise InvalidToken("the token is not a compact JWS")
    head, payload, signature = segments
    return CompactJws(head, header_in(head), base64url(payload), head + b"." + payload, base64url(signature))


@lru_cache(64)  # all tokens of a key begin alike
def header_in(head: bytes) -> Mapping[str, Any]:
    """The members of a first segment. Raises InvalidToken unless it is a canonical object."""
    members = load_object(base64url(head))
    if members is None:
        raise InvalidToken("the header is not a plain JSON object")
    return MappingProxyType(members)


def load_object(raw: bytes) -> dict[str, Any] | None:
    """Read one JSON object; None for anything else and for whatever two parsers could read differently."""
    if len(raw) > _MAX_BRACKETS and raw.count(b"[") + raw.count(b"{") > _MAX_BRACKETS:
        return None
    value = _canonical(raw)
    if value is None:
        value = _strict(raw)
    return value if isinstance(value, dict) else None


def _canonical(raw: bytes) -> Any:
    """What `_strict` says too, in a fifth of its time, of a text as msgspec writes it; None for any other.

    What was read and written again would not be this text, byte for byte, if a member stood there twice or a value
    were not JSON or spelt in a second way. An integer of any length comes back, so the long ones are told apart."""
    if _LONG_INTEGER in raw.translate(_DIGITS):
        return None
    try:
        value = _read(raw)
        return value if _written(value) == raw else None
    except (ValueError, RecursionError):
        return None


def _strict(raw: bytes) -> Any:
    try:
        value = _decode(raw.decode("utf-8"))
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # an escape can name half a character
    except (ValueError, RecursionError):
        return None
    return value


def base64url(segment: bytes) -> bytes:
    """RFC 7515 §2: whatever does not encode back to itself (padding, `+/`, blanks, spare bits) is refused."""
    over = len(segment) % 4
    spelt = segment[-1:] in _LAST[over]
    try:
        decoded = binascii.a2b_base64(segment.translate(_FROM) + _PADDING[over], strict_mode=True) if spelt else None
    except ValueError:
        decoded = None
    if decoded is None:
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


_read: Final = msgspec.json.Decoder().decode
_written: Final = msgspec.json.Encoder().encode
_decode: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode
