"""How many access tokens an API checks in a second with the library: seen before, never seen, and the bare signature.

In this process, without a network: the keys are there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey

from detent.core.base64url import from_base64url
from detent.resource_server import AccessTokens, VerificationKeys, Verifier

ISSUER, AUDIENCE = "https://id.example/", "https://api.example/"
LIFE, BATCH = 3600, 200


class Held:
    """The keys of an issuer that never changes them."""

    fetches = 0

    def __init__(self, keys: VerificationKeys) -> None:
        self._keys = keys

    async def keys(self) -> VerificationKeys:
        return self._keys

    async def newer(self, than: VerificationKeys) -> VerificationKeys:
        return than


def rates(seconds: float) -> tuple[float, float, float]:
    """Checks a second of a token seen before, of tokens never seen, and of signatures alone."""
    key = ECKey.generate_key("P-256", {"kid": "bench", "alg": "ES256", "use": "sig"})
    verifier = Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",))
    jwks = Held(VerificationKeys.from_jwks({"keys": [key.as_dict(private=False)]}))
    checked = AccessTokens(verifier=verifier, jwks=jwks)
    tokens = _tokens(key)
    again = next(tokens)[0]

    async def seen(batch: list[str]) -> None:
        for _ in range(BATCH):
            await checked.bearer(again)

    async def fresh(batch: list[str]) -> None:
        for token in batch:
            await checked.bearer(token)

    public = key.public_key
    assert isinstance(public, EllipticCurvePublicKey)
    hashed = ECDSA(SHA256())

    async def bare(_: list[str]) -> None:
        for signature, signed in signatures:
            public.verify(signature, signed, hashed)

    signatures = [_parts(token) for token in next(tokens)]
    return _rate(seen, list, seconds), _rate(fresh, lambda: next(tokens), seconds), _rate(bare, list, seconds)


def _rate(work: Callable[[list[str]], Awaitable[None]], batch: Callable[[], list[str]], seconds: float) -> float:
    """Calls a second; what makes the batches is not counted."""

    async def repeat() -> float:
        spent, done = 0.0, 0
        while spent < seconds:
            given = batch()
            began = time.perf_counter()
            await work(given)
            spent += time.perf_counter() - began
            done += BATCH
        return done / spent

    return asyncio.run(repeat())


def _tokens(key: ECKey) -> Iterator[list[str]]:
    """Batches of tokens as our server mints them, no two alike."""
    now, made = int(time.time()), 0
    while True:
        batch = []
        for number in range(made, made + BATCH):
            claims = {
                "iss": ISSUER, "sub": "person-1", "aud": [AUDIENCE], "client_id": "bench", "azp": "bench",
                "iat": now, "exp": now + LIFE, "jti": f"{number:020}", "scope": "api", "auth_time": now,
            }  # fmt: skip
            batch.append(jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "bench"}, claims, key))
        made += BATCH
        yield batch


def _parts(token: str) -> tuple[bytes, bytes]:
    """The signature as the cryptography library takes it (DER), and what was signed."""
    signed, _, signature = token.rpartition(".")
    raw = from_base64url(signature)
    assert raw
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")), signed.encode()


if __name__ == "__main__":
    print("seen {:,.0f}/s, never seen {:,.0f}/s, bare signature {:,.0f}/s".format(*rates(2)))
