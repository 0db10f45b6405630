"""Tokens that are bound to a key, before an API: the DPoP half of the guard (RFC 9449 §7, §9, §11.1).

What a proof must say is proof.py. Here: that its key is the token's, that it counts once, and, if wanted, nonces.
Rule: memory is fixed, and what it cannot tell from an old proof is refused.
"""

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from detent.resource_server.bearer import Refusal
from detent.resource_server.errors import InvalidProof
from detent.resource_server.proof import ALGORITHMS, IAT_WINDOW_SECONDS, Proof, normalised, verify_proof

KEPT_SECONDS: Final = 2 * IAT_WINDOW_SECONDS + 1  # the longest that a proof can be good after it was seen
_TIME_BYTES: Final = 8
_EIGHT: Final = struct.Struct(">8I")


class Nonces:
    """Stateless nonces (RFC 9449 §9): a time and its MAC. Processes that share `secret` know each other's."""

    def __init__(self, secret: bytes, *, life_seconds: float = 600) -> None:
        if len(secret) < 32:
            raise ValueError("the secret of the nonces must have at least 32 bytes")
        self._secret = secret
        self._life_seconds = life_seconds

    def fresh(self, now: float) -> str:
        made_at = int(now).to_bytes(_TIME_BYTES, "big")
        return base64.urlsafe_b64encode(made_at + self._tag(made_at)).decode()

    def good(self, nonce: str | None, now: float) -> bool:
        return self._age(nonce, now) < self._life_seconds

    def due(self, nonce: str | None, now: float) -> bool:
        """Whether it is time to hand out the next one; this one stays good for as long again."""
        return self._age(nonce, now) >= self._life_seconds / 2

    def _age(self, nonce: str | None, now: float) -> float:
        try:
            raw = base64.urlsafe_b64decode(nonce or "")
        except ValueError:
            return float("inf")
        made_at, tag = raw[:_TIME_BYTES], raw[_TIME_BYTES:]
        ours = hmac.compare_digest(tag, self._tag(made_at))
        return abs(now - int.from_bytes(made_at, "big")) if ours else float("inf")

    def _tag(self, made_at: bytes) -> bytes:
        return hmac.digest(self._secret, b"detent dpop nonce" + made_at, "sha256")[:16]


class ReplayMemory:
    """Which proofs this process has seen, in two Bloom filters of `size` bytes: the present one and the one before.

    None that could still be good is ever forgotten. A new one may be taken for an old one: at 1,000 a second one in
    a thousand million, at 4,000 one in 30,000, and so on; so a flood costs no memory and is refused.
    """

    def __init__(self, size: int = 8 * 2**20) -> None:
        self._salt = os.urandom(16)  # so that nobody can compute whose proofs his own would hide
        self._present, self._before = bytearray(size), bytearray(size)
        self._full_at = 0.0

    def is_first(self, proof: Proof, now: float) -> bool:
        """Whether it was not seen before; from now on it was."""
        if now >= self._full_at:
            passed = now < self._full_at + KEPT_SECONDS
            self._before = self._present if passed else bytearray(len(self._present))
            self._present = bytearray(len(self._present))
            self._full_at = now + KEPT_SECONDS
        places = self._places(proof)
        if any(all(bits[byte] & bit for byte, bit in places) for bits in (self._present, self._before)):
            return False
        for byte, bit in places:
            self._present[byte] |= bit
        return True

    def _places(self, proof: Proof) -> list[tuple[int, int]]:
        """Eight bits of a filter: which byte, and which bit of it."""
        numbers = _EIGHT.unpack(hashlib.blake2b(proof.id.encode(), key=self._salt, digest_size=_EIGHT.size).digest())
        size = len(self._present)
        return [((number >> 3) % size, 1 << (number & 7)) for number in numbers]


@dataclass(frozen=True, slots=True)
class Sent:
    """The part of a request that a proof speaks of. `path` is as it was sent, escapes and all."""

    method: str
    path: str
    proofs: tuple[str, ...]

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "Sent":
        """From an ASGI scope."""
        return cls(scope.get("method", "GET"), _path(scope), _proofs(scope["headers"]))


class DPoP:
    """What a guard needs to admit tokens that are bound to a key.

    `urls` are what its clients write before the path that arrives here: `https://api.example`, or
    `https://example.org/api` where a proxy strips that much. What a request says of its own host is not believed.
    `nonces` makes clients use them; `memory` may be shared by guards of one process.
    """

    def __init__(self, *urls: str, nonces: Nonces | None = None, memory: ReplayMemory | None = None) -> None:
        if not urls or any(normalised(url) is None or url.endswith("/") or set("?#") & set(url) for url in urls):
            raise ValueError("DPoP needs the URLs of the API, each https://host[:port][/path] without a slash behind")
        self._urls = urls
        self._nonces = nonces
        self._memory = memory or ReplayMemory()

    def admit(self, sent: Sent, token: str, cnf: Mapping[str, Any], now: float) -> str | None:
        """A nonce for the answer, if it is time for one. Raises Refusal unless the token's key is proved."""
        if len(sent.proofs) != 1:
            raise Refusal.unproved("invalid_dpop_proof", "Send exactly one DPoP header with a proof in it.")
        urls = [url + sent.path for url in self._urls]
        try:
            proof = verify_proof(sent.proofs[0], method=sent.method, urls=urls, now=now, access_token=token)
        except InvalidProof as error:
            raise Refusal.unproved("invalid_dpop_proof", f"The DPoP proof is refused: {error.reason}.") from None
        if self._nonces and not self._nonces.good(proof.nonce, now):
            fresh = self._nonces.fresh(now)
            raise Refusal.unproved("use_dpop_nonce", "Make the proof with the nonce of this answer.", nonce=fresh)
        if cnf.keys() != {"jkt"} or cnf["jkt"] != proof.jkt:
            raise Refusal.unproved("invalid_token", "The access token is refused: it is bound to another key.")
        if not self._memory.is_first(proof, now):
            raise Refusal.unproved("invalid_dpop_proof", "The DPoP proof was used before: make one for each request.")
        return self._nonces.fresh(now) if self._nonces and self._nonces.due(proof.nonce, now) else None


def challenge(realm: str) -> str:
    return f'DPoP realm="{realm}", algs="{" ".join(ALGORITHMS)}"'


def _path(scope: Mapping[str, Any]) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def _proofs(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    return tuple(value.decode("latin-1") for name, value in headers if name.lower() == b"dpop")
