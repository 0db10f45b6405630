"""Keys in a store: one set for all who share it, whoever makes the next, and whatever breaks off in between."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from detent.core.changes import Changes, TurnKeys
from detent.core.errors import KeyUnknown, StoreUnavailable
from detent.core.wrapped_key import WrappedKeys
from detent.keys.database import DatabaseKeys
from detent.keys.kek import Keks, new_kek
from detent.keys.ring import KeysError
from detent.stores.memory import MemoryStore
from detent.testing.clock import ManualClock

pytestmark = pytest.mark.asyncio
ALL = frozenset({"RS256", "ES256"})


class Failing(MemoryStore):
    """Turns keys `left` times and then no more; `looks`: how often all keys were read, which may be `held` up."""

    left = 1000
    looks = 0

    def __init__(self) -> None:
        super().__init__()
        self.reads, self.held = asyncio.Event(), asyncio.Event()
        self.held.set()

    async def wrapped_keys(self) -> WrappedKeys:
        self.looks, held = self.looks + 1, self.held
        found = await super().wrapped_keys()
        self.reads.set()
        await held.wait()
        return found

    async def apply(self, changes: Changes) -> None:
        if isinstance(changes.parts[0], TurnKeys):
            self.left -= 1
            if self.left < 0:
                raise StoreUnavailable("The disk is full.")
        await super().apply(changes)


@pytest.fixture
def store() -> Failing:
    return Failing()


def kek_file(path: Path, *lines: str) -> Keks:
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return Keks(path)


@pytest.fixture
def keks(tmp_path: Path) -> Keks:
    return kek_file(tmp_path / "kek", new_kek())


async def opened(store: MemoryStore, keks: Keks, clock: ManualClock) -> DatabaseKeys:
    return await DatabaseKeys.open(store, store, keks, clock)


async def looked(keys: DatabaseKeys) -> None:
    async with keys.look_again():
        keys.missed()  # what is unknown now is nobody's


def everything(keys: DatabaseKeys) -> object:
    secrets = [(found.current, found.keys) for found in (keys.handle_keys(), keys.pepper(), keys.audit_keys())]
    return keys.public_jwks(ALL), secrets, keys.states()


async def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def test_nodes_that_start_first_at_the_same_time_agree(store: Failing, keks: Keks, clock: ManualClock) -> None:
    first, *others = await asyncio.gather(*(opened(store, keks, clock) for _ in range(3)))
    for node in others:
        await looked(node)
        assert everything(node) == everything(first)
    assert [each.key.purpose for each in first.states()] == ["RS256", "RS256", "handle", "pepper", "audit"]


async def test_of_nodes_that_rotate_at_once_one_makes_the_key_and_the_others_say_so(
    store: Failing, keks: Keks, clock: ManualClock
) -> None:
    nodes = [await opened(store, keks, clock) for _ in range(4)]
    told = await asyncio.gather(*(node.rotate("handle") for node in nodes), return_exceptions=True)
    assert len([each for each in told if isinstance(each, KeysError) and "under way" in str(each)]) == 3
    assert [each.key.id for each in nodes[0].states() if each.key.purpose == "handle"] == ["1", "2"]


async def test_l5_a_key_that_one_node_revokes_signs_and_is_published_at_no_node(
    store: Failing, keks: Keks, clock: ManualClock
) -> None:
    ours, theirs = await opened(store, keks, clock), await opened(store, keks, clock)
    revoked = ours.signing_kid("RS256")
    heir = await theirs.revoke(revoked)
    await looked(ours)
    assert heir.id == ours.signing_kid("RS256") == theirs.signing_kid("RS256") != revoked
    assert revoked not in {jwk["kid"] for jwk in ours.public_jwks(frozenset({"RS256"}))}


async def test_who_names_a_key_that_is_new_is_answered_even_right_after_a_look_for_another(
    store: Failing, keks: Keks, clock: ManualClock
) -> None:
    """Else who invents one every second would have everybody refused who comes with a new one."""
    ours, theirs = await opened(store, keks, clock), await opened(store, keks, clock)
    await looked(ours)
    made = await theirs.rotate("handle", at_once=True)
    with pytest.raises(KeyUnknown):
        ours.missed()
    async with ours.look_again():
        assert [*ours.handle_keys().keys] == [int(made.id)]


async def test_who_invents_keys_causes_one_look_a_second_and_never_more_than_a_few_wait(
    store: Failing, keks: Keks, clock: ManualClock
) -> None:
    keys = await opened(store, keks, clock)
    await looked(keys)
    store.looks = 0

    async def invents() -> bool:
        try:
            keys.missed()
        except KeyUnknown:
            await looked(keys)
            return True
        return False

    began = asyncio.get_running_loop().time()
    waited = await asyncio.gather(*(invents() for _ in range(100)))
    assert (sum(waited), store.looks) == (16, 1)
    assert asyncio.get_running_loop().time() - began > 0.9


async def test_a_look_that_was_under_way_may_have_read_too_soon_so_another_one_follows(
    store: Failing, keks: Keks, clock: ManualClock
) -> None:
    ours, theirs = await opened(store, keks, clock), await opened(store, keks, clock)
    store.reads.clear()
    store.held = held = asyncio.Event()
    first = asyncio.create_task(looked(ours))
    await store.reads.wait()
    store.held = asyncio.Event()
    store.held.set()
    made = await theirs.rotate("handle", at_once=True)
    second = asyncio.create_task(looked(ours))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(first, second)
    assert [*ours.handle_keys().keys] == [int(made.id)]


async def test_a_key_of_an_algorithm_that_nobody_made_is_made_by_whoever_needs_it(
    store: Failing, keks: Keks, clock: ManualClock
) -> None:
    ours, theirs = await opened(store, keks, clock), await opened(store, keks, clock)
    assert {jwk["alg"] for jwk in ours.public_jwks(ALL)} == {"RS256"}
    for keys in (ours, theirs):
        with pytest.raises(KeyUnknown):
            keys.signing_kid("ES256")
        await looked(keys)
    assert ours.signing_kid("ES256") == theirs.signing_kid("ES256")


async def test_a_rewrap_that_breaks_off_anywhere_is_finished_by_the_next_and_every_key_stays_readable(
    store: Failing, keks: Keks, clock: ManualClock, tmp_path: Path
) -> None:
    before = everything(await opened(store, keks, clock))
    [old] = keks.path.read_text().split()
    kek_file(keks.path, new := new_kek(), old)
    keys = await opened(store, keks, clock)
    for left in (0, 1, 2):
        store.left = left
        with pytest.raises(StoreUnavailable):
            await keys.rewrap()
        store.left = 1000
        assert everything(await opened(store, keks, clock)) == before
    assert await keys.rewrap() == 2
    assert everything(await opened(store, kek_file(tmp_path / "new", new), clock)) == before
    with pytest.raises(KeysError, match="Put the line of"):
        await opened(store, kek_file(tmp_path / "old", old), clock)


async def test_a_node_that_lacks_the_new_key_encryption_key_goes_on_with_what_it_has_and_says_so_once(
    store: Failing, keks: Keks, clock: ManualClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [old] = keks.path.read_text().split()
    ours = await opened(store, keks, clock)
    before = everything(ours)
    theirs = await opened(store, kek_file(tmp_path / "theirs", new := new_kek(), old), clock)
    await theirs.rotate("pepper")
    following = asyncio.create_task(ours.follow())
    try:
        await until(lambda: bool(caplog.records))
        assert everything(ours) == before
        kek_file(keks.path, new, old)
        await until(lambda: everything(ours) == everything(theirs))
    finally:
        following.cancel()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert new not in caplog.text


@pytest.mark.parametrize("content", ["", "short", "x" * 43 + "\n" + "y", "é" * 43, "=" * 43])
async def test_what_is_no_key_encryption_key_is_refused_and_not_repeated(
    store: Failing, clock: ManualClock, tmp_path: Path, content: str
) -> None:
    with pytest.raises(KeysError, match="no file of key-encryption keys") as refusal:
        await opened(store, kek_file(tmp_path / "kek", content), clock)
    assert not content or content not in str(refusal.value)
    assert (await store.wrapped_keys()).keys == ()
