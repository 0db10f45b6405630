"""Rotation over the files: nobody who verifies is taken by surprise, and no other process is left behind."""

import asyncio
from pathlib import Path

import pytest

from detent.core.api import SIGNING_ALGS
from detent.keys.file import FileKeys
from detent.keys.ring import PURPOSES, KeysError, Purpose, Schedule
from detent.resource_server.errors import InvalidToken
from detent.resource_server.keys import VerificationKeys
from detent.resource_server.verify import Verifier
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.factories import a_family
from detent.tokens.handle import CODE_PREFIX, Handles

VERIFIER = Verifier("https://id.example/", "https://api.example/")
LONGEST_LIFE = 86_400
MAX_AGE = 300
EVERY_ALG = frozenset(SIGNING_ALGS)


def minted(keys: FileKeys, clock: ManualClock) -> str:
    now = clock.now()
    claims = {"iss": VERIFIER.issuer, "aud": ["https://api.example/"], "sub": "a", "client_id": "b", "jti": "c"}
    return asyncio.run(keys.sign("ES256", "at+jwt", {**claims, "iat": now, "exp": now + LONGEST_LIFE}))


def fetched(keys: FileKeys) -> VerificationKeys:
    return VerificationKeys.from_jwks({"keys": keys.public_jwks(EVERY_ALG)})


@pytest.mark.slow  # it makes a hundred RSA keys
def test_f13_a_hundred_rotations_fail_no_verifier_that_caches_for_max_age_and_no_token_that_lives(
    keys: FileKeys, clock: ManualClock
) -> None:
    """Verifiers ask for no newer keys: a key set that is MAX_AGE old must do for a token of this second."""
    signers = {keys.signing_kid("ES256")}
    cached = [(clock.now(), fetched(keys))]
    tokens: list[tuple[int, str]] = []
    clock.advance(1)
    for gap in (3_600, 40, 7_200, LONGEST_LIFE - 1) * 25:
        asyncio.run(keys.rotate("ES256"))
        at = 0
        for offset in (0, 1, 255, 299, 300, 301, 3_559, 3_560, 3_561, gap):
            now = clock.advance(min(offset, gap) - at)
            at = min(offset, gap)
            signers.add(keys.signing_kid("ES256"))
            tokens = [(exp, token) for exp, token in tokens if exp > now] + [(now + LONGEST_LIFE, minted(keys, clock))]
            cached = [(when, key_set) for when, key_set in cached if now - when <= MAX_AGE] + [(now, fetched(keys))]
            for _, key_set in cached:
                VERIFIER.verify(tokens[-1][1], key_set, now)
            VERIFIER.verify(tokens[0][1], cached[-1][1], now)
    assert len(signers) == 101
    assert len(keys.public_jwks(frozenset({"ES256"}))) < 30


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_answer_names_the_key_that_takes_over_and_when(
    keys: FileKeys, clock: ManualClock, purpose: Purpose
) -> None:
    keys.signing_kid("ES256")
    keys.signing_kid("EdDSA")
    following = asyncio.run(keys.rotate(purpose))
    assert following.use_from is not None
    clock.advance(following.use_from - clock.now())
    assert [each.key for each in keys.states() if each.key.purpose == purpose and each.state == "current"] == [
        following
    ]


@pytest.mark.quick
def test_the_key_that_signs_is_published_first(keys: FileKeys, clock: ManualClock) -> None:
    clock.advance(10_000)
    asyncio.run(keys.rotate("RS256"))
    assert keys.public_jwks(frozenset({"RS256"}))[0]["kid"] == keys.signing_kid("RS256")
    assert len(keys.public_jwks(frozenset({"RS256"}))) == 3


def test_another_process_sees_a_rotation_within_two_seconds(path: Path, clock: ManualClock) -> None:
    ours, theirs = FileKeys.open(path, clock), FileKeys.open(path, clock)
    clock.advance(10_000)
    for purpose in PURPOSES:
        asyncio.run(theirs.rotate(purpose))
    clock.advance(1)
    assert ours.states() == theirs.states()
    assert ours.public_jwks(EVERY_ALG) == theirs.public_jwks(EVERY_ALG)
    assert ours.handle_keys().keys == theirs.handle_keys().keys
    assert ours.pepper().keys == theirs.pepper().keys


def test_another_process_knows_a_handle_key_before_the_first_handle_is_made_with_it(
    path: Path, clock: ManualClock
) -> None:
    ours, theirs = FileKeys.open(path, clock), FileKeys.open(path, clock)
    asyncio.run(theirs.rotate("handle"))
    for _ in range(15):
        sealed = Handles(theirs, SystemEntropy()).seal(CODE_PREFIX, b"code")
        assert Handles(ours, SystemEntropy()).unseal(CODE_PREFIX, sealed) == b"code"
        clock.advance(1)
    assert ours.handle_keys().current == theirs.handle_keys().current == 2


@pytest.mark.quick
def test_a_handle_opens_for_the_longest_life_after_its_key_was_rotated_and_then_no_more(
    path: Path, clock: ManualClock
) -> None:
    schedule = Schedule()
    keys = FileKeys.open(path, clock, schedule=schedule)
    handles = Handles(keys, SystemEntropy())
    token = handles.refresh_token(a_family(handle_key=1))
    following = asyncio.run(keys.rotate("handle"))
    assert following.use_from is not None
    clock.advance(following.use_from - clock.now() + schedule.handle_life - 1)
    assert handles.open_refresh(token, "app")
    clock.advance(1)
    assert handles.open_refresh(token, "app") is None


@pytest.mark.quick
def test_l5_a_signing_key_that_is_revoked_is_published_and_believed_no_more_and_a_known_one_signs(
    path: Path, clock: ManualClock
) -> None:
    ours, theirs = FileKeys.open(path, clock), FileKeys.open(path, clock)
    token, revoked, known = minted(ours, clock), ours.signing_kid("ES256"), fetched(ours)
    clock.advance(1)
    assert asyncio.run(theirs.revoke(revoked)).id == theirs.signing_kid("ES256") != revoked
    clock.advance(1)
    for keys in (ours, theirs, FileKeys.open(path, clock)):
        assert revoked not in {jwk["kid"] for jwk in keys.public_jwks(EVERY_ALG)}
        with pytest.raises(InvalidToken):
            VERIFIER.verify(token, fetched(keys), clock.now())
        VERIFIER.verify(minted(keys, clock), known, clock.now())  # whoever fetched the keys before knows the next one
    assert not list(path.glob(f"*{revoked}*"))


@pytest.mark.quick
def test_l5_after_a_compromise_the_kid_is_gone_at_once_and_its_tokens_are_refused(
    path: Path, clock: ManualClock
) -> None:
    ours, theirs = FileKeys.open(path, clock), FileKeys.open(path, clock)
    token = minted(ours, clock)
    VERIFIER.verify(token, fetched(ours), clock.now())
    compromised = {jwk["kid"] for jwk in ours.public_jwks(EVERY_ALG) if jwk["alg"] == "ES256"}
    asyncio.run(theirs.rotate("ES256", at_once=True))
    clock.advance(1)
    for keys in (ours, theirs, FileKeys.open(path, clock)):
        assert compromised.isdisjoint(jwk["kid"] for jwk in keys.public_jwks(EVERY_ALG))
        with pytest.raises(InvalidToken):
            VERIFIER.verify(token, fetched(keys), clock.now())
        VERIFIER.verify(minted(keys, clock), fetched(ours), clock.now())
    assert not [kid for kid in compromised if list(path.glob(f"*{kid}*"))]


def test_a_number_is_not_given_twice_while_the_ring_turns(keys: FileKeys) -> None:
    given = [asyncio.run(keys.rotate("handle", at_once=True)).id for _ in range(5)]
    assert given == ["2", "3", "4", "5", "6"]
    assert [*keys.handle_keys().keys] == [6]


def test_a_rotation_that_is_refused_changes_nothing(path: Path, keys: FileKeys) -> None:
    asyncio.run(keys.rotate("RS256"))
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(KeysError, match="under way"):
        asyncio.run(keys.rotate("RS256"))
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.quick
def test_secrets_that_verify_hold_the_earlier_and_the_coming_key(keys: FileKeys, clock: ManualClock) -> None:
    first = keys.pepper().keys[1]
    asyncio.run(keys.rotate("pepper"))
    assert (keys.pepper().current, [*keys.pepper().keys]) == (1, [1, 2])
    clock.advance(10)
    assert keys.pepper().current == 2
    clock.advance(50 * 365 * 86_400)
    assert keys.pepper().keys[1] == first


def test_a_clock_set_back_stops_nobody_from_signing(keys: FileKeys, clock: ManualClock) -> None:
    kid = keys.signing_kid("RS256")
    clock.advance(-(10**7))
    assert keys.signing_kid("RS256") == kid
    assert keys.handle_keys().current == 1
