"""Passwords: never shortened, never matched by nothing, hashed a few at a time beside the event loop."""

import asyncio

import pytest
from argon2 import extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from detent.core.errors import InvalidRequest, TemporarilyUnavailable
from detent.identity.passwords import CHEAP, OWASP, Passwords, Profile, prepared

SLOW = Profile(memory_kib=64 * 1024, passes=3)


@pytest.mark.quick
@pytest.mark.parametrize("password", ["x", "test", "correct horse", "a" * 73, "a" * 4096, "ф" * 2048, "🔑", " "])
async def test_a_password_matches_its_own_hash(passwords: Passwords, password: str) -> None:
    assert await passwords.verify(await passwords.hash(password), password)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a" * 72 + "b", "a" * 72 + "c"),
        ("a" * 72, "a" * 73),
        ("a" * 4095 + "b", "a" * 4095 + "c"),
        ("a" * 4096, "a" * 4097),
        ("secret", "Secret"),
        ("secret", "secret "),
        ("secret", "secret\x00"),
        ("secret", "secret\x00more"),
        ("ﬁ", "fi"),
    ],
)
async def test_u10_what_differs_anywhere_does_not_match(passwords: Passwords, one: str, other: str) -> None:
    assert not await passwords.verify(await passwords.hash(one), other)


@pytest.mark.quick
@pytest.mark.parametrize("password", ["", "a" * 4097, "ф" * 2049, "a" * 10**6, "a\x00b", "\x00", "a\nb", "\ud800"])
async def test_u10_what_cannot_be_a_password_is_refused_whole_and_matches_nothing(
    passwords: Passwords, password: str
) -> None:
    with pytest.raises(InvalidRequest, match="1 to 4096 bytes"):
        await passwords.hash(password)
    for stored in ("", await passwords.hash("a"), await passwords.hash("a" * 4096)):
        assert not await passwords.verify(stored, password)


@pytest.mark.quick
@pytest.mark.parametrize("password", ["", "x", "\x00" * 16, "a" * 5000])
@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$", "$2b$12$" + "a" * 53])
async def test_u10_an_empty_or_odd_hash_matches_nothing(passwords: Passwords, stored: str, password: str) -> None:
    assert not await passwords.verify(stored, password)


@pytest.mark.quick
async def test_rfc8265_4_2_the_same_password_typed_on_another_keyboard_matches(passwords: Passwords) -> None:
    assert await passwords.verify(await passwords.hash("pâss wörd"), "pa\u0302ss\u3000wo\u0308rd")


@given(password=st.text(max_size=50))
def test_rfc8265_preparing_twice_changes_nothing_more(password: str) -> None:
    once = prepared(password)
    assert once is None or prepared(once.decode()) == once


@pytest.mark.quick
async def test_rfc9106_a_hash_is_argon2id_with_the_profile_and_a_salt_of_its_own() -> None:
    passwords = Passwords()
    one, other = await passwords.hash("x"), await passwords.hash("x")
    parameters = extract_parameters(one)
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)
    assert one.startswith("$argon2id$v=19$")
    assert one != other


@pytest.mark.quick
async def test_a_hash_made_with_other_parameters_is_to_be_renewed(passwords: Passwords) -> None:
    stored = await passwords.hash("x")
    assert not passwords.needs_rehash(stored)
    assert Passwords(OWASP).needs_rehash(stored)
    assert await Passwords(OWASP).verify(stored, "x")


@pytest.mark.slow  # it waits for real hashes
async def test_h14_the_event_loop_goes_on_while_a_password_is_hashed() -> None:
    passwords = Passwords(SLOW)
    hashing = asyncio.create_task(passwords.hash("x"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100


@pytest.mark.slow  # it fills the queue with real work
async def test_h14_those_who_find_no_place_in_the_queue_are_told_when_to_come_back() -> None:
    passwords = Passwords(SLOW, workers=1, waiting=2)
    answers = await asyncio.gather(*(passwords.verify("", "x") for _ in range(10)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TemporarilyUnavailable)]
    assert answers.count(False) == 3
    assert [refusal.retry_after for refusal in refused] == [1] * 7
    assert await passwords.verify(await passwords.hash("x"), "x")


async def test_whoever_hangs_up_while_waiting_leaves_the_place_to_others() -> None:
    passwords = Passwords(SLOW, workers=1, waiting=1)
    working = asyncio.create_task(passwords.verify("", "x"))
    for _ in range(5):
        waiting = asyncio.create_task(passwords.verify("", "x"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not await working
    assert not await passwords.verify("", "x")


@pytest.mark.quick
async def test_cheap_hashes_are_never_the_default() -> None:
    assert Passwords().needs_rehash(await Passwords(CHEAP).hash("x"))
