"""Handles: two tags, one spelling, the same successor for ever."""

import base64
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.core.authorization import Authorization
from detent.core.family import Family, Origin, born
from detent.core.ids import ClientId, FamilyKey, Instant, Subject
from detent.ports import SecretKeys
from detent.system import SystemEntropy
from detent.tokens.handle import (
    ACCESS_PREFIX,
    CODE_PREFIX,
    MAX_SEALED_CHARACTERS,
    REFRESH_PREFIX,
    Handles,
    family_of,
    is_of,
)

pytestmark = pytest.mark.quick

CLIENT = "app"
KNOWN_REFRESH = "dtrt_AQABAAcAAQIDBAUGBwgJCgsMDQ4PAAMAAAApeEkxhj6ETrCHolKCLlABSTj3KTHmrghX_I3L1w6Ae3_Anzuv"
KNOWN_SEALED = "dtac_AQABFhYWFhYWFhYWFhYWFhYWFjsgk9B_jthW9qvRGwlPkHlXWodBZduR"


class HandleKeys:
    """The part of the Keys port that handles need."""

    def __init__(self, **keys: bytes) -> None:
        self.keys = SecretKeys(1, {1: os.urandom(32)})

    def rotate(self) -> None:
        new = max(self.keys.keys) + 1
        self.keys = SecretKeys(new, {**self.keys.keys, new: os.urandom(32)})

    def drop(self, key_id: int) -> None:
        self.keys = SecretKeys(self.keys.current, {i: key for i, key in self.keys.keys.items() if i != key_id})

    def handle_keys(self) -> SecretKeys:
        return self.keys

    def missed(self) -> None:
        """No other process makes keys."""


@pytest.fixture
def keys() -> HandleKeys:
    return HandleKeys()


@pytest.fixture
def handles(keys: HandleKeys) -> Handles:
    return Handles(keys, SystemEntropy())  # type: ignore[arg-type]  # only handle_keys is asked


def family(**change: Any) -> Family:
    authorization = Authorization(ClientId(CLIENT), Subject("u"), ("read",), (), Instant(1), auth_time=Instant(1))
    new = born(FamilyKey(7, os.urandom(16)), authorization, Instant(10**6), Origin())
    return msgspec.structs.replace(new, **{"generation": 1, "handle_key": 1, "seed": os.urandom(32)} | change)


def test_a_handle_opens_to_what_it_was_made_from(handles: Handles) -> None:
    made_from = family(generation=41, epoch=3)
    token = handles.refresh_token(made_from)
    opened = handles.open_refresh(token, CLIENT)

    assert token.startswith(REFRESH_PREFIX)
    assert len(token) == len(REFRESH_PREFIX) + 84
    assert opened is not None
    assert (opened.key, opened.generation, opened.epoch) == (made_from.key, 41, 3)
    assert is_of(opened, made_from)


def test_the_successor_is_the_same_bytes_across_a_key_rotation(handles: Handles, keys: HandleKeys) -> None:
    rotated = family(generation=2)
    first = handles.refresh_token(rotated)
    keys.rotate()
    assert handles.refresh_token(rotated) == first
    assert handles.open_refresh(first, CLIENT) is not None
    assert handles.refresh_token(msgspec.structs.replace(rotated, handle_key=2)) != first


def test_a_dropped_key_takes_its_handles_with_it(handles: Handles, keys: HandleKeys) -> None:
    token = handles.refresh_token(family())
    keys.rotate()
    keys.drop(1)
    assert handles.open_refresh(token, CLIENT) is None


def test_rfc6749_10_4_a_handle_is_bound_to_its_client(handles: Handles) -> None:
    assert handles.open_refresh(handles.refresh_token(family()), "other") is None


def test_the_database_alone_forges_nothing(handles: Handles) -> None:
    """Who knows the whole row but not the handle key cannot make a handle that opens."""
    row = family()
    stranger = Handles(HandleKeys(), SystemEntropy())  # type: ignore[arg-type]
    assert handles.open_refresh(stranger.refresh_token(row), CLIENT) is None


def test_the_handle_key_alone_forges_nothing(handles: Handles) -> None:
    """Who knows the handle key but not the row's seed makes handles that open and belong to no family."""
    row = family()
    forged = handles.open_refresh(handles.refresh_token(msgspec.structs.replace(row, seed=os.urandom(32))), CLIENT)
    assert forged is not None
    assert not is_of(forged, row)


def test_every_flipped_bit_is_noticed(handles: Handles) -> None:
    token = handles.refresh_token(family())
    raw = base64.urlsafe_b64decode(token[len(REFRESH_PREFIX) :])
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert handles.open_refresh(REFRESH_PREFIX + base64.urlsafe_b64encode(flipped).decode(), CLIENT) is None


@given(st.text() | st.binary().map(lambda raw: REFRESH_PREFIX + base64.urlsafe_b64encode(raw).decode()))
def test_garbage_never_opens_and_never_raises(text: str) -> None:
    handles = Handles(HandleKeys(), SystemEntropy())  # type: ignore[arg-type]
    assert handles.open_refresh(text, CLIENT) is None
    assert handles.unseal(CODE_PREFIX, text) is None


@pytest.mark.parametrize("spelling", ["{}=", " {}", "{}\n", "{}A"])
def test_rfc7515_2_a_handle_has_exactly_one_spelling(handles: Handles, spelling: str) -> None:
    token, sealed = handles.refresh_token(family()), handles.seal(CODE_PREFIX, b"content")
    assert handles.open_refresh(spelling.format(token), CLIENT) is None
    assert handles.unseal(CODE_PREFIX, spelling.format(sealed)) is None


@given(st.binary(max_size=500))
def test_what_was_sealed_is_unsealed_and_reads_as_nothing_outside(content: bytes) -> None:
    handles = Handles(HandleKeys(), SystemEntropy())  # type: ignore[arg-type]
    sealed = handles.seal(CODE_PREFIX, content)
    assert handles.unseal(CODE_PREFIX, sealed) == content
    assert handles.seal(CODE_PREFIX, content) != sealed, "two codes for the same content differ"


def test_rfc8725_3_12_kinds_are_sealed_apart(handles: Handles) -> None:
    sealed = handles.seal(CODE_PREFIX, b"content")
    assert handles.unseal(ACCESS_PREFIX, ACCESS_PREFIX + sealed[len(CODE_PREFIX) :]) is None


def test_a_sealed_handle_notices_every_flipped_byte(handles: Handles) -> None:
    sealed = handles.seal(CODE_PREFIX, b"content")
    raw = base64.urlsafe_b64decode(sealed[len(CODE_PREFIX) :] + "==")
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        assert handles.unseal(CODE_PREFIX, CODE_PREFIX + text) is None


def test_what_holds_a_secret_prints_as_stars(handles: Handles, keys: HandleKeys) -> None:
    row = family()
    opened = handles.open_refresh(handles.refresh_token(row), CLIENT)
    assert opened is not None
    shown = f"{row!r} {opened!r} {keys.keys!r}"
    assert shown.count("***") == 3
    assert opened.inner.hex() not in shown
    assert repr(row.seed) not in shown


class Sixteens:
    """Entropy that draws the same for ever; for answers that are known beforehand."""

    def token_bytes(self, count: int) -> bytes:
        return b"\x16" * count


@pytest.fixture
def known() -> Handles:
    keys = HandleKeys()
    keys.keys = SecretKeys(1, {1: bytes(range(32))})
    return Handles(keys, Sixteens())  # type: ignore[arg-type]


def test_handles_that_were_handed_out_stay_good_whatever_the_version(known: Handles) -> None:
    """The form is stored by every client: who changes it gives it a version of its own, and reads this one on."""
    row = family(generation=41, epoch=3, seed=bytes(32))
    row = msgspec.structs.replace(row, key=FamilyKey(7, bytes(range(16))))
    assert known.refresh_token(row) == KNOWN_REFRESH
    assert known.seal(CODE_PREFIX, b"content") == KNOWN_SEALED


def test_a_refresh_token_says_of_which_family_it_is(handles: Handles) -> None:
    made_from = family(generation=41)
    token = handles.refresh_token(made_from)
    assert family_of(token) == made_from.key
    for strange in (token[:-4], token + "AAAA", token[:-1] + "!", CODE_PREFIX + token[len(REFRESH_PREFIX) :], ""):
        assert family_of(strange) is None
        assert handles.open_refresh(strange, CLIENT) is None


@pytest.mark.parametrize("length", range(40))
def test_too_little_for_a_sealed_handle_is_none(handles: Handles, length: int) -> None:
    raw = base64.urlsafe_b64decode(handles.seal(CODE_PREFIX, b"content")[len(CODE_PREFIX) :] + "==")[:length]
    assert handles.unseal(CODE_PREFIX, CODE_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")) is None


def test_a_sealed_handle_is_opened_up_to_its_greatest_length_and_not_beyond(handles: Handles) -> None:
    content = bytes((MAX_SEALED_CHARACTERS - len(CODE_PREFIX)) * 3 // 4 - 35)  # head and tag
    longest, too_long = handles.seal(CODE_PREFIX, content), handles.seal(CODE_PREFIX, content + b"1")
    assert len(longest) == MAX_SEALED_CHARACTERS
    assert handles.unseal(CODE_PREFIX, longest) == content
    assert handles.unseal(CODE_PREFIX, too_long) is None


def test_handles_of_another_version_or_key_are_none(handles: Handles, keys: HandleKeys) -> None:
    """As the keys of another installation would make them: version and key id are read before any tag."""
    for token, opened in (
        (handles.refresh_token(family()), lambda text: handles.open_refresh(text, CLIENT)),
        (handles.seal(CODE_PREFIX, b"content"), lambda text: handles.unseal(CODE_PREFIX, text)),
    ):
        raw = base64.urlsafe_b64decode(token[5:] + "=" * (-len(token[5:]) % 4))
        for head in (b"\2" + raw[1:3], b"\1\0\2"):
            assert opened(token[:5] + base64.urlsafe_b64encode(head + raw[3:]).decode().rstrip("=")) is None
        assert opened(token) is not None
