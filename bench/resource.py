"""How many access tokens an API checks in a second with the library: seen before, never seen, and the bare signature.

In this process, without a network: the keys are there.
"""

import asyncio
import time
from collections.abc import Iterator

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
    """Checks in a second of a core: of a token seen before, of tokens never seen, and of signatures alone.

    All three take turns, the last two with the same tokens.
    """
    key = ECKey.generate_key("P-256", {"kid": "bench", "alg": "ES256", "use": "sig"})
    public = key.public_key
    assert isinstance(public, EllipticCurvePublicKey)
    return asyncio.run(_in_turn(_checked(key), public, _tokens(key), seconds))


def _checked(key: ECKey) -> AccessTokens:
    verifier = Verifier(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",))
    return AccessTokens(
        verifier=verifier, jwks=Held(VerificationKeys.from_jwks({"keys": [key.as_dict(private=False)]}))
    )


async def _in_turn(
    checked: AccessTokens, public: EllipticCurvePublicKey, batches: Iterator[list[str]], seconds: float
) -> tuple[float, float, float]:
    hashed, spent, done = ECDSA(SHA256()), [0.0, 0.0, 0.0], 0
    (again,) = next(batches)[:1]
    await checked.bearer(again)
    until = time.monotonic() + seconds
    while not done or time.monotonic() < until:
        tokens = next(batches)
        signatures = [_parts(token) for token in tokens]
        moments = [time.thread_time()]
        for _ in tokens:
            await checked.bearer(again)
        moments.append(time.thread_time())
        for token in tokens:
            await checked.bearer(token)
        moments.append(time.thread_time())
        for signature, signed in signatures:
            public.verify(signature, signed, hashed)
        moments.append(time.thread_time())
        spent = [before + (end - start) for before, start, end in zip(spent, moments, moments[1:], strict=False)]
        done += len(tokens)
    seen, fresh, bare = (done / each for each in spent)
    return seen, fresh, bare


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
