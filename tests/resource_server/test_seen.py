"""A token that comes again: the signature is checked once, and everything that can change is looked at each time."""

from dataclasses import replace

import pytest

from detent.resource_server import InvalidToken, UnknownKey
from detent.resource_server.keys import VerificationKey, VerificationKeys
from detent.resource_server.seen import SeenTokens
from tests.resource_server.minting import NOW, VERIFIER, jwks, minted

pytestmark = pytest.mark.quick


class Counting(VerificationKey):
    checked = 0

    def verifies(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        Counting.checked += 1
        return super().verifies(alg, signing_input, signature)


@pytest.fixture
def keys() -> VerificationKeys:
    Counting.checked = 0
    held = VerificationKeys.from_jwks(jwks("ES256"))
    return replace(held, keys=tuple(Counting(key.kid, key.algorithms, key._key) for key in held.keys))


def test_the_signature_of_a_token_that_comes_again_is_checked_once(keys: VerificationKeys) -> None:
    seen, token = SeenTokens(VERIFIER), minted({}, key="ES256")
    first = seen.verify(token, keys, NOW)
    assert all(seen.verify(token, keys, NOW + second) == first for second in range(100))
    assert Counting.checked == 1


def test_rfc9068_4_one_byte_more_or_less_is_another_token(keys: VerificationKeys) -> None:
    seen, token = SeenTokens(VERIFIER), minted({}, key="ES256")
    seen.verify(token, keys, NOW)
    for other in (token + "A", token[:-1], token.replace(".", ".A", 1), f" {token}", token + "\ud800"):
        with pytest.raises(InvalidToken):
            seen.verify(other, keys, NOW)


def test_rfc7519_4_1_4_a_token_that_was_good_expires(keys: VerificationKeys) -> None:
    seen, token = SeenTokens(VERIFIER), minted({}, key="ES256")
    assert seen.verify(token, keys, NOW + 599).jti
    with pytest.raises(InvalidToken, match="expired"):
        seen.verify(token, keys, NOW + 600)


def test_attack_j7_a_key_that_was_taken_out_verifies_nothing_more(keys: VerificationKeys) -> None:
    seen, token = SeenTokens(VERIFIER), minted({}, key="ES256")
    seen.verify(token, keys, NOW)
    with pytest.raises(UnknownKey):
        seen.verify(token, VerificationKeys.from_jwks(jwks("RS256")), NOW)


def test_what_is_refused_is_checked_each_time(keys: VerificationKeys) -> None:
    seen, token = SeenTokens(VERIFIER), minted({}, key="ES256")
    for _ in range(3):
        with pytest.raises(InvalidToken):
            seen.verify(token[:-4] + "AAAA", keys, NOW)
    assert Counting.checked == 3


def test_no_more_are_remembered_than_there_is_room_for(keys: VerificationKeys) -> None:
    seen = SeenTokens(VERIFIER, most=2)
    tokens = [minted({"jti": name}, key="ES256") for name in ("one", "two", "three")]
    for token in (*tokens, tokens[2], tokens[1], tokens[0]):
        seen.verify(token, keys, NOW)
    assert Counting.checked == 4, "the first was forgotten for the third"
