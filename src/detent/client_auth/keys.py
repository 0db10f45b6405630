"""A client's public keys: what it registered by value (`jwks`) or by address (`jwks_uri`), RFC 7591 §2.

Fetched through the outbound guard, held for as long as the answer says, within bounds, and asked for once more where
a key id is not among them, at most once a minute. Leaves what is verified, or encrypted, to whoever asks.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from detent.core.client import Client, check_shown_uri
from detent.core.errors import InvalidClientMetadata
from detent.core.ids import ClientId
from detent.core.latest import Latest
from detent.ports import Clock
from detent.registry.feature import Feature
from detent.resource_server.errors import Unavailable, UnknownKey
from detent.resource_server.fetch import Fetch
from detent.resource_server.jwks import JwksCache, KeySource
from detent.resource_server.keys import VerificationKeys, is_unsound

T = TypeVar("T")
PAUSE_SECONDS: Final = 60  # between two requests for the keys of one client
FIRST_PAUSE_SECONDS: Final = 10  # while it never had any
MAX_JWKS_BYTES: Final = 32 * 1024
_HELD: Final = 1024  # clients


class Registered:
    """The `KeySource` of keys that stand in the registration itself."""

    fetches = 0

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = VerificationKeys.from_jwks(jwks)

    async def keys(self) -> VerificationKeys:
        return self._keys

    async def newer(self, than: VerificationKeys) -> VerificationKeys:
        return self._keys


class ClientKeys:
    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._held: Latest[ClientId, tuple[Any, KeySource]] = Latest(_HELD)

    async def of(self, client: Client) -> VerificationKeys:
        """The keys in force. Raises Unavailable where there are none, or none can be had."""
        return await self._source(client).keys()

    async def verified(self, client: Client, verify: Callable[[VerificationKeys], T]) -> T:
        """What `verify` makes of the keys; where it raises UnknownKey, once more with newer ones. Raises as it does,
        and Unavailable.
        """
        source = self._source(client)
        keys = await source.keys()
        try:
            return verify(keys)
        except UnknownKey:
            newer = await source.newer(keys)
            if newer is keys:
                raise
            return verify(newer)

    def _source(self, client: Client) -> KeySource:
        named = client.extra.get("jwks_uri") or client.extra.get("jwks")
        held = self._held.get(client.client_id)
        source = held[1] if held and held[0] == named else self._made(named)
        self._held[client.client_id] = (named, source)
        return source

    def _made(self, named: Any) -> KeySource:
        if isinstance(named, dict):
            return Registered(named)
        if not isinstance(named, str):
            raise Unavailable("the client registered no keys")
        return JwksCache(
            named,
            fetch=self._fetch,
            clock=self._clock.now,
            pause_seconds=PAUSE_SECONDS,
            first_pause_seconds=FIRST_PAUSE_SECONDS,
        )


def has_keys(client: Client) -> bool:
    return "jwks" in client.extra or "jwks_uri" in client.extra


async def check_keys(client: Client) -> None:
    """RFC 7591 §2. Raises InvalidClientMetadata."""
    jwks, uri = client.extra.get("jwks"), client.extra.get("jwks_uri")
    if jwks is not None and uri is not None:
        raise InvalidClientMetadata("jwks and jwks_uri cannot stand side by side (RFC 7591 2).")
    if uri is not None:
        check_shown_uri(uri)
    if jwks is not None:
        _check_jwks(jwks)


def _check_jwks(jwks: dict[str, Any]) -> None:
    if len(msgspec.json.encode(jwks)) > MAX_JWKS_BYTES:
        raise InvalidClientMetadata(f"jwks is longer than {MAX_JWKS_BYTES} bytes; publish it under a jwks_uri.")
    try:
        published = VerificationKeys.from_jwks(jwks).published
    except ValueError:
        raise InvalidClientMetadata("jwks must be a JWK Set of at most 64 keys (RFC 7517 5).") from None
    if not published or len(published) < len(jwks["keys"]):
        raise InvalidClientMetadata("jwks must hold keys, and of them the public members alone.")
    if any(is_unsound(key) for key in published):
        raise InvalidClientMetadata("jwks holds a broken key or a weak one: RSA wants 2048 bits or more and e=65537.")


def feature() -> Feature:
    return Feature(
        "client-keys",
        ("RFC 7591 §2", "RFC 7517"),
        client_metadata={"jwks": dict[str, Any], "jwks_uri": str},
        client_checks=(check_keys,),
    )
