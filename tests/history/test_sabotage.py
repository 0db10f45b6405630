"""The history checker can fail: a right server passes each scenario, and a server that was sabotaged does not.

A sabotage replaces a verb of the running store, or what `decide` says, and nothing else.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any

import msgspec
import pytest

from detent.core.authorization import Epochs
from detent.core.changes import Changes, InsertFamily, ReplaceFamily
from detent.core.family import (
    BARE,
    EQUAL_SUCCESSORS,
    Family,
    Keep,
    Origin,
    Presented,
    Refuse,
    Repeat,
    Reuse,
    Rotate,
    decide,
)
from detent.grants import refresh_token
from detent.keys.file import FileKeys
from detent.testing.clock import ManualClock
from detent.testing.history.record import load, save
from tests.history.recorded import Recorded
from tests.serving import REDIRECT_URI, START, VERIFIER, Detent, running

Scenario = Callable[[Recorded], None]
Sabotage = Callable[[Detent, pytest.MonkeyPatch], None]
pytestmark = pytest.mark.slow

KEY = "retry-key-of-22-chars-"


@pytest.fixture
def recorded(tmp_path: Path, keys_folder: Path) -> Iterator[Recorded]:
    FileKeys.open(keys_folder, ManualClock(START))
    own = shutil.copytree(keys_folder, tmp_path / "keys")  # a scenario turns one
    with running(tmp_path, own, "memory") as detent:
        yield Recorded(detent)


def rotations_and_a_thief(run: Recorded) -> None:
    """Lost answers with a key, rotations, then somebody with the first token; afterwards the owner again."""
    first = run.sign_in(scope="read")
    second = run.refresh(first["refresh_token"], retry_key=KEY)
    run.refresh(first["refresh_token"], retry_key=KEY, promised=True)
    third = run.refresh(second["refresh_token"], promised=True)
    run.active(third["access_token"])
    run.refresh(first["refresh_token"])
    run.refresh(third["refresh_token"])
    for tokens in (first, second, third):
        run.active(tokens["access_token"])


def two_rotations(run: Recorded) -> None:
    second = run.refresh(run.sign_in()["refresh_token"])
    run.refresh(second["refresh_token"], promised=True)


def an_answer_that_never_came(run: Recorded) -> None:
    """To an owner who keeps to the rules, and asks again."""
    second = run.refresh(run.sign_in()["refresh_token"], promised=True)["refresh_token"]
    run.refresh_in_vain(second, retry_key=KEY, promised=True)
    run.refresh(second, retry_key=KEY, promised=True)


def a_thief_whose_answer_never_came(run: Recorded) -> None:
    """The family ended by a request of unknown fate."""
    first = run.sign_in()["refresh_token"]
    third = run.refresh(run.refresh(first, promised=True)["refresh_token"], promised=True)["refresh_token"]
    run.refresh_in_vain(first)
    run.refresh(third)


def the_parent_without_its_key(run: Recorded) -> None:
    first = run.sign_in()
    run.refresh(first["refresh_token"], retry_key=KEY)
    run.refresh(first["refresh_token"], retry_key=KEY[::-1])


def a_retry_after_the_handle_key_was_turned(run: Recorded) -> None:
    first = run.sign_in()
    run.refresh(first["refresh_token"], retry_key=KEY)
    run.detent.thread.call(_turned(run.detent.house.outside.keys))
    run.detent.clock.advance(86400)
    run.refresh(first["refresh_token"], retry_key=KEY, promised=True)


def two_tabs_in_one_second(run: Recorded) -> None:
    form: dict[str, Any] = {"redirect_uri": REDIRECT_URI, "code": run.detent.code("app"), "code_verifier": VERIFIER}
    first = run.ask("/oauth/token", "app", grant_type="authorization_code", **form).json()
    for _ in range(2):
        run.refresh(first["refresh_token"], "app", promised=True)


def late_retries_after_an_access_token_only(run: Recorded) -> None:
    """Lost answers in four generations, then two late retries at once; the store keeps the first one's answer."""
    form: dict[str, Any] = {"redirect_uri": REDIRECT_URI, "code": run.detent.code("app"), "code_verifier": VERIFIER}
    token = run.ask("/oauth/token", "app", grant_type="authorization_code", **form).json()["refresh_token"]
    for _ in range(4):
        run.detent.clock.advance(3600)
        run.refresh(token, "app")
        token = run.refresh(token, "app").get("refresh_token", token)
    assert run.recorder.requests[-1].successor is None
    run.detent.clock.advance(3600)
    first, second = (run.refresh(token, "app", promised=True)["refresh_token"] for _ in range(2))
    run.detent.clock.advance(3600)
    run.refresh(first, "app", promised=True)
    run.refresh(second, "app")


def a_revocation_between_read_and_write(run: Recorded) -> None:
    """A refresh has read its family; a revocation is acknowledged; then the refresh writes."""
    store, thread = run.detent.store, run.detent.thread
    token = run.sign_in()["refresh_token"]
    honest, read, revoked = store.apply, asyncio.Event(), asyncio.Event()

    async def slow(changes: Changes) -> None:
        if any(isinstance(part, ReplaceFamily) and part.family.status == "live" for part in changes.parts):
            read.set()
            await revoked.wait()
        await honest(changes)

    store.apply = slow
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(run.refresh, token)
        thread.call(asyncio.wait_for(read.wait(), 60))
        run.revoke(token)
        thread.call(_set(revoked))
        answer = refreshed.result()
    store.apply = honest
    run.refresh(answer.get("refresh_token", token))


def a_code_twice(run: Recorded) -> None:
    form: dict[str, Any] = {"redirect_uri": REDIRECT_URI, "code": run.detent.code("app"), "code_verifier": VERIFIER}
    for _ in range(2):
        run.ask("/oauth/token", "app", grant_type="authorization_code", **form)


def a_week_with_sweeps(run: Recorded) -> None:
    token = run.sign_in()["refresh_token"]
    for _ in range(7):
        run.detent.clock.advance(86400)
        run.detent.thread.call(run.detent.store.sweep(run.detent.clock.now(), retention=86400))
        token = run.refresh(token, promised=True).get("refresh_token", token)


def beyond_every_life(run: Recorded) -> None:
    token = run.sign_in()["refresh_token"]
    run.detent.clock.advance(91 * 86400)
    run.refresh(token)


async def _set(event: asyncio.Event) -> None:
    event.set()


async def _turned(keys: Any) -> None:
    await keys.rotate("handle")


def no_compare_and_swap(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    honest, store = detent.store.apply, detent.store

    async def forced(changes: Changes) -> None:
        parts = []
        for part in changes.parts:
            if isinstance(part, ReplaceFamily):
                found = await store.family(part.family.key)
                store._families[part.family.key] = msgspec.structs.replace(found.family, status="live")
                part = ReplaceFamily(msgspec.structs.replace(part.family, version=found.family.version + 1))
            parts.append(part)
        await honest(Changes(tuple(parts), changes.events))

    store.apply = forced


def no_reuse_check(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """Old tokens are refused, and that is all."""

    def careless(*args: Any) -> Any:
        decision = decide(*args)
        return Refuse("reuse") if isinstance(decision, Reuse) else decision

    patch.setattr(refresh_token, "decide", careless)


def old_tokens_are_kept(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """Whatever was issued once is answered with the head."""

    def trusting(family: Family, *args: Any) -> Any:
        decision = decide(family, *args)
        return Keep(None, family) if isinstance(decision, Reuse) else decision

    patch.setattr(refresh_token, "decide", trusting)


def parent_always_allowed(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    def lenient(family: Family, presented: Presented, *args: Any) -> Any:
        if presented.generation == family.parent and family.status == "live":
            return Repeat(None, family, bare=False)
        return decide(family, presented, *args)

    patch.setattr(refresh_token, "decide", lenient)


def kill_forgets_the_access_tokens(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """Whoever asks about an access token is told of the family as if it lived; the refresh grant knows better."""

    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            return getattr(detent.store, name)

        async def family(self, key: Any, **unless: Any) -> Any:
            found = await detent.store.family(key, **unless)
            return msgspec.structs.replace(found, family=msgspec.structs.replace(found.family, status="live"))

    patch.setattr(detent.house.access, "_store", Forgetful())


def early_purge(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    honest = detent.store.sweep

    async def eager(now: int, *, retention: int) -> Any:
        return await honest(now, retention=-1000 * retention)

    detent.store.sweep = eager


def acknowledged_writes_are_lost(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """As a store that answers before it is durable, and loses its power."""
    honest = detent.store.apply

    async def lossy(changes: Changes) -> None:
        if not any(isinstance(part, ReplaceFamily) for part in changes.parts):
            await honest(changes)

    detent.store.apply = lossy


def _found_otherwise(detent: Detent, change: Callable[[Family], Family]) -> None:
    honest = detent.store.family

    async def family(key: Any, **unless: Any) -> Any:
        found = await honest(key, **unless)
        return found and msgspec.structs.replace(found, family=change(found.family))

    detent.store.family = family


def scope_grows(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    def wider(family: Family) -> Family:
        grown = msgspec.structs.replace(family.authorization, scope=("read", "write"), epochs=Epochs())
        return msgspec.structs.replace(family, authorization=grown)

    _found_otherwise(detent, wider)


def no_end(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    _found_otherwise(
        detent, lambda family: msgspec.structs.replace(family, absolute_until=2**40, idle_until=2**40)
    )  # fmt: skip


def the_key_of_the_moment_instead_of_the_rows(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    honest, handles = detent.house.handles.refresh_token, detent.house.handles

    def careless(family: Family) -> str:
        return honest(msgspec.structs.replace(family, handle_key=handles.current_key))

    patch.setattr(handles, "refresh_token", careless)


def each_repeat_supersedes(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """Row 6 where row 5 should be: whoever asks again gets a successor of its own."""

    def generous(family: Family, presented: Presented, *args: Any) -> Any:
        unlike = msgspec.structs.replace(presented, origin=Origin(token_bytes(8), token_hex(8)))
        return decide(family, unlike, *args)

    patch.setattr(refresh_token, "decide", generous)


def equals_stay_good(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """One of several successors of a parent was used, and the others still wait."""

    def forgetful(family: Family, *args: Any) -> Any:
        decision = decide(family, *args)
        if isinstance(decision, Rotate) and family.repeated > BARE:
            decision = Rotate(msgspec.structs.replace(decision.after, repeated=BARE + EQUAL_SUCCESSORS))
        return decision

    patch.setattr(refresh_token, "decide", forgetful)


def only_the_latest_waits(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    """As it was before: parallel late retries kill, if the store keeps another answer than the last one."""

    def strict(family: Family, *args: Any) -> Any:
        return decide(msgspec.structs.replace(family, repeated=min(family.repeated, BARE)), *args)

    patch.setattr(refresh_token, "decide", strict)


def codes_work_twice(detent: Detent, patch: pytest.MonkeyPatch) -> None:
    honest, store = detent.store.apply, detent.store

    async def forgetful(changes: Changes) -> None:
        if any(isinstance(part, InsertFamily) for part in changes.parts):
            store._families.clear()
        await honest(changes)

    store.apply = forgetful


SCENARIOS: tuple[Scenario, ...] = (
    rotations_and_a_thief,
    two_rotations,
    an_answer_that_never_came,
    a_thief_whose_answer_never_came,
    the_parent_without_its_key,
    a_retry_after_the_handle_key_was_turned,
    two_tabs_in_one_second,
    late_retries_after_an_access_token_only,
    a_revocation_between_read_and_write,
    a_code_twice,
    a_week_with_sweeps,
    beyond_every_life,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_a_right_server_passes(recorded: Recorded, scenario: Scenario) -> None:
    scenario(recorded)
    assert [str(violation) for violation in recorded.violations()] == []


@pytest.mark.parametrize(
    ("sabotage", "scenario", "invariant"),
    [
        (no_compare_and_swap, a_revocation_between_read_and_write, "I5"),
        (no_reuse_check, rotations_and_a_thief, "I4"),
        (old_tokens_are_kept, rotations_and_a_thief, "I2"),
        (parent_always_allowed, the_parent_without_its_key, "I2"),
        (kill_forgets_the_access_tokens, rotations_and_a_thief, "I4"),
        (early_purge, a_week_with_sweeps, "I7"),
        (early_purge, a_week_with_sweeps, "I1"),
        (acknowledged_writes_are_lost, two_rotations, "I1"),
        (acknowledged_writes_are_lost, an_answer_that_never_came, "I1"),
        (the_key_of_the_moment_instead_of_the_rows, a_retry_after_the_handle_key_was_turned, "I3"),
        (each_repeat_supersedes, two_tabs_in_one_second, "I3"),
        (equals_stay_good, late_retries_after_an_access_token_only, "I2"),
        (only_the_latest_waits, late_retries_after_an_access_token_only, "I7"),
        (scope_grows, rotations_and_a_thief, "I8"),
        (no_end, beyond_every_life, "I8"),
        (codes_work_twice, a_code_twice, "I9"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_a_sabotaged_server_is_found(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, sabotage: Sabotage, scenario: Scenario, invariant: str
) -> None:
    sabotage(recorded.detent, monkeypatch)
    scenario(recorded)
    assert invariant in recorded.found()


def test_i10_a_token_that_nobody_was_given_is_found(recorded: Recorded) -> None:
    """As if it had been guessed: the record of its issue is taken away."""
    recorded.refresh(recorded.refresh(recorded.sign_in()["refresh_token"])["refresh_token"])
    recorded.recorder.requests[1].successor = None
    assert "I10" in recorded.found()


def test_a_violation_tells_its_requests(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    parent_always_allowed(recorded.detent, monkeypatch)
    the_parent_without_its_key(recorded)
    lines = str(recorded.violations()[0]).splitlines()
    assert lines[0].startswith("I2: ")
    assert [line.split(": ", 1)[1] for line in lines[1:]] == [
        "testclient, refresh_token generation 1: 200 and generation 2"
    ] * 2


def test_a_history_without_tokens_is_kept_in_a_file(recorded: Recorded, tmp_path: Path) -> None:
    rotations_and_a_thief(recorded)
    save(recorded.recorder.requests, tmp_path / "history")
    assert load(tmp_path / "history") == recorded.recorder.requests
    assert "dtrt_" not in (tmp_path / "history").read_text()
