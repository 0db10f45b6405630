"""Tokens that are bound to a key, before an API: the DPoP half of the guard (RFC 9449 §7, §9, §11.1).

What a proof must say is proof.py. Here: that its key is the token's, that it counts once, and, if wanted, nonces.
Rule: memory is bounded, and what does not fit into it is refused.
"""

import base64
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from detent.resource_server.bearer import Refusal
from detent.resource_server.errors import InvalidProof
from detent.resource_server.proof import ALGORITHMS, IAT_WINDOW_SECONDS, Proof, normalised, verify_proof

KEPT_SECONDS: Final = 2 * IAT_WINDOW_SECONDS + 1  # the longest that a proof can be good after it was seen
SHARE: Final = 16  # no key takes more than this part of the memory, so none crowds the others out
_TIME_BYTES: Final = 8


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


class MemoryFull(Exception):
    """More proofs than can be remembered: the next one might be an old one."""


class ReplayMemory:
    """Which proofs this process has seen: at most `size`, of one key at most a sixteenth of that."""

    def __init__(self, size: int = 65_536) -> None:
        self._size = size
        self._seen: dict[str, tuple[float, str]] = {}  # in the order in which they may be forgotten
        self._of_key = Counter[str]()

    def __len__(self) -> int:
        return len(self._seen)

    def is_first(self, proof: Proof, now: float) -> bool:
        """Whether it was not seen before; from now on it was. Raises MemoryFull."""
        self._forget(now)
        if proof.id in self._seen:
            return False
        if len(self._seen) >= self._size or self._of_key[proof.jkt] >= max(1, self._size // SHARE):
            raise MemoryFull
        self._seen[proof.id] = now + KEPT_SECONDS, proof.jkt
        self._of_key[proof.jkt] += 1
        return True

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            until, jkt = self._seen[oldest]
            if until > now:
                return
            del self._seen[oldest]
            self._of_key[jkt] -= 1
            if not self._of_key[jkt]:
                del self._of_key[jkt]


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

    `origins` are those under which the API is reached (`https://api.example`), as its clients spell them; what a proxy
    says of itself is not asked. `nonces` makes clients use them; `memory` may be shared by guards of one process.
    """

    def __init__(self, *origins: str, nonces: Nonces | None = None, memory: ReplayMemory | None = None) -> None:
        if not origins or any(normalised(origin) is None or origin.count("/") != 2 for origin in origins):
            raise ValueError("DPoP needs the origins of the API, each as scheme://host[:port]")
        self._origins = origins
        self._nonces = nonces
        self._memory = memory or ReplayMemory()

    def admit(self, sent: Sent, token: str, cnf: Mapping[str, Any], now: float) -> str | None:
        """A nonce for the answer, if it is time for one. Raises Refusal unless the token's key is proved."""
        if len(sent.proofs) != 1:
            raise Refusal.unproved("invalid_dpop_proof", "Send exactly one DPoP header with a proof in it.")
        urls = [origin + sent.path for origin in self._origins]
        try:
            proof = verify_proof(sent.proofs[0], method=sent.method, urls=urls, now=now, access_token=token)
        except InvalidProof as error:
            raise Refusal.unproved("invalid_dpop_proof", f"The DPoP proof is refused: {error.reason}.") from None
        if self._nonces and not self._nonces.good(proof.nonce, now):
            fresh = self._nonces.fresh(now)
            raise Refusal.unproved("use_dpop_nonce", "Make the proof with the nonce of this answer.", nonce=fresh)
        if cnf.keys() != {"jkt"} or cnf["jkt"] != proof.jkt:
            raise Refusal.unproved("invalid_token", "The access token is refused: it is bound to another key.")
        self._once(proof, now)
        return self._nonces.fresh(now) if self._nonces and self._nonces.due(proof.nonce, now) else None

    def _once(self, proof: Proof, now: float) -> None:
        try:
            first = self._memory.is_first(proof, now)
        except MemoryFull:
            raise Refusal.unavailable() from None
        if not first:
            raise Refusal.unproved("invalid_dpop_proof", "The DPoP proof was used before: make one for each request.")


def challenge(realm: str) -> str:
    return f'DPoP realm="{realm}", algs="{" ".join(ALGORITHMS)}"'


def _path(scope: Mapping[str, Any]) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def _proofs(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    return tuple(value.decode("latin-1") for name, value in headers if name.lower() == b"dpop")
