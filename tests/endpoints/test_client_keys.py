"""A client's public keys, by value and by address (RFC 7591 §2): when they are fetched, and what may not be named."""

from collections.abc import Iterator
from typing import Any

import pytest

from detent.client_auth.keys import ClientKeys
from detent.core.client import Client
from detent.core.errors import InvalidClientMetadata
from detent.registry.joined import Registry
from detent.resource_server.errors import InvalidToken, Unavailable, UnknownKey
from detent.resource_server.keys import VerificationKeys
from detent.testing.clock import ManualClock
from detent.testing.server import ServerThread
from detent.web.outbound import LOOPBACK, MAX_ANSWER_BYTES, Outbound
from tests.published import Published, jwks, key
from tests.serving import START, Detent, client

pytestmark = pytest.mark.quick

FIRST, SECOND = key("first"), key("second")


class Fetching:
    def __init__(self, thread: ServerThread) -> None:
        self.thread = thread
        self.clock = ManualClock(START)
        self.keys = ClientKeys(Outbound(LOOPBACK).fetch, self.clock)
        self.document = Published(jwks(FIRST))
        thread.serve(self.document, self.document.at)

    def find(self, kid: str, **extra: Any) -> str | None:
        named = client("anybody", "native", None, extra=extra or {"jwks_uri": self.document.url})  # type: ignore[arg-type]

        def verify(keys: VerificationKeys) -> str | None:
            return keys.select("ES256", kid).kid

        return self.thread.call(self.keys.verified(named, verify))


@pytest.fixture
def fetching() -> Iterator[Fetching]:
    with ServerThread() as thread:
        yield Fetching(thread)


def test_rfc7591_2_keys_are_fetched_once_and_held_for_as_long_as_their_answer_says(fetching: Fetching) -> None:
    fetching.document.headers["cache-control"] = "max-age=600"
    for _ in range(3):
        assert fetching.find("first") == "first"
    fetching.clock.advance(599)
    fetching.find("first")
    assert fetching.document.asked == 1
    fetching.clock.advance(1)
    fetching.find("first")
    assert fetching.document.asked == 2


def test_rfc7517_5_an_unknown_kid_asks_once_more_but_at_most_once_a_minute(fetching: Fetching) -> None:
    fetching.find("first")
    fetching.document.body = jwks(SECOND)
    fetching.clock.advance(59)
    with pytest.raises(UnknownKey):
        fetching.find("second")
    assert fetching.document.asked == 1
    fetching.clock.advance(1)
    assert fetching.find("second") == "second"
    for _ in range(5):
        with pytest.raises(UnknownKey):
            fetching.find("invented")
    assert fetching.document.asked == 2


def test_a_client_that_names_another_address_is_asked_there(fetching: Fetching) -> None:
    elsewhere = Published(jwks(SECOND))
    fetching.thread.serve(elsewhere, elsewhere.at)
    assert fetching.find("first") == "first"
    assert fetching.find("second", jwks_uri=elsewhere.url) == "second"
    assert fetching.find("first", jwks=jwks(FIRST)) == "first"
    assert fetching.document.asked == 1


BAD: dict[str, dict[str, Any]] = {
    "an error": {"status": 500},
    "a redirect": {"status": 302, "headers": {"location": "http://127.0.0.1:1/"}},
    "no JSON": {"body": b"<html>"},
    "no key set": {"body": {"keys": "none"}},
    "too many keys": {"body": {"keys": [{}] * 10_000}},
    "more than is read": {"body": bytes(2 * MAX_ANSWER_BYTES)},
    "compressed": {"body": b"\x1f\x8b\x08", "headers": {"content-encoding": "gzip"}},
}


@pytest.mark.parametrize("kind", BAD)
def test_attack_s4_what_is_no_key_set_is_no_keys_and_is_not_asked_for_again_at_once(
    kind: str, fetching: Fetching
) -> None:
    for name, value in BAD[kind].items():
        setattr(fetching.document, name, value)
    for _ in range(5):
        with pytest.raises(Unavailable):
            fetching.find("first")
    assert fetching.document.asked == 1


@pytest.mark.parametrize(
    "address", ["https://10.0.0.1/jwks", "https://169.254.169.254/jwks", "https://[::ffff:10.0.0.1]/jwks"]
)
def test_attack_s1_keys_are_not_fetched_from_inside_the_network(address: str, fetching: Fetching) -> None:
    with pytest.raises(Unavailable):
        fetching.find("first", jwks_uri=address)


def test_a_client_without_keys_has_none(fetching: Fetching) -> None:
    with pytest.raises(Unavailable, match="registered no keys"):
        fetching.find("first", other=1)


def test_keys_that_are_for_no_signature_are_left_for_whoever_encrypts(fetching: Fetching) -> None:
    sealing = FIRST.as_dict(private=False) | {"use": "enc", "kid": "sealing"}
    named = client("anybody", "native", None, extra={"jwks": {"keys": [sealing]}})  # type: ignore[arg-type]
    keys = fetching.thread.call(fetching.keys.of(named))
    assert keys.published == (sealing,)
    with pytest.raises(InvalidToken):
        keys.select("ES256", "sealing")


@pytest.mark.parametrize(
    ("extra", "because"),
    [
        ({"jwks": jwks(FIRST), "jwks_uri": "https://app.example/jwks"}, "side by side"),
        ({"jwks_uri": "http://app.example/jwks"}, "must be an https URL"),
        ({"jwks_uri": "https://a:b@app.example/jwks"}, "must be an https URL"),
        ({"jwks": {}}, "must be a JWK Set"),
        ({"jwks": {"keys": []}}, "must hold keys"),
        ({"jwks": {"keys": [FIRST.as_dict(private=True)]}}, "the public members alone"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "the public members alone"),
        ({"jwks": {"keys": [{"kty": "RSA", "n": "A" * 40_000}]}}, "longer than"),
    ],
)  # fmt: skip
def test_rfc7591_2_keys_that_cannot_be_are_not_registered(
    standing: Detent, extra: dict[str, Any], because: str
) -> None:
    registry: Registry = standing.house.registry
    keys: Any = standing.house.outside.keys
    named: Client = client("anybody", "native", keys, extra=extra)

    async def register() -> None:
        for check in registry.client_checks:
            await check(named)

    with pytest.raises(InvalidClientMetadata, match=because):
        standing.thread.call(register())
