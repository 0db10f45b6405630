"""Long signatures: one at once, many by processes; and whatever becomes of a process, whoever asked has his answer."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from detent.core.api import SigningAlg
from detent.keys import signing_process
from detent.keys.material import SigningKey, generate
from detent.keys.signing import Signing
from detent.resource_server.keys import VerificationKey

MANY = [f"signing input {number}".encode() for number in range(40)]


class Watched(SigningKey):
    """Knows what was signed in this process."""

    def __init__(self, alg: SigningAlg, material: bytes) -> None:
        super().__init__(alg, material)
        self.here: list[bytes] = []
        honest = self.signature

        def signature(signing_input: bytes) -> bytes:
            self.here.append(signing_input)
            return honest(signing_input)

        self.signature = signature

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        public = VerificationKey.from_jwk(self.public_jwk)
        assert public
        return public.verifies(self.alg, signing_input, signature)


@pytest.fixture(scope="module")
def material() -> bytes:
    return generate("RS256")


@pytest.fixture
def key(material: bytes) -> Watched:
    return Watched("RS256", material)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    processes: list[Process] = []
    honest: Callable[..., Any] = asyncio.create_subprocess_exec

    async def watched(*arguments: Any, **more: Any) -> Process:
        processes.append(await honest(*arguments, **more))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    return processes


@asynccontextmanager
async def at_work(signing: Signing, key: Watched) -> AsyncIterator["asyncio.Task[None]"]:
    """Its processes have started when the block begins, and have ended when it has."""
    running = asyncio.create_task(signing.run())
    while not running.done():
        key.here.clear()
        await all_of(signing, key)
        if not key.here:
            break
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def all_of(signing: Signing, key: SigningKey, wanted: list[bytes] = MANY) -> list[bytes]:
    async with asyncio.timeout(60):
        return await asyncio.gather(*(signing.signature(key, each) for each in wanted))


async def asked_of_who_stands_still(
    started: list[Process], signing: Signing, key: Watched
) -> "asyncio.Task[list[bytes]]":
    for process in started:
        process.send_signal(signal.SIGSTOP)
    asked = asyncio.create_task(all_of(signing, key))
    await asyncio.sleep(0.05)  # each has a portion
    return asked


def are_good(key: Watched, signatures: list[bytes]) -> bool:
    return all(key.verifies(*each) for each in zip(MANY, signatures, strict=True))


@pytest.mark.parametrize("processes", [0, 2])
async def test_without_a_busy_moment_no_process_is_started(
    processes: int, key: Watched, started: list[Process]
) -> None:
    signing = Signing(processes)
    running = asyncio.create_task(signing.run())
    for wanted in MANY:
        assert key.verifies(wanted, await signing.signature(key, wanted))
    running.cancel()
    assert (key.here, started) == (MANY, [])


async def test_those_of_a_busy_moment_are_made_by_processes_each_with_its_key_and_algorithm(
    material: bytes, key: Watched, started: list[Process]
) -> None:
    signing, another = Signing(2), Watched("PS256", material)
    async with at_work(signing, key):
        made = await asyncio.gather(all_of(signing, key), all_of(signing, another))
        assert (key.here, another.here) == ([], [])
        assert are_good(key, made[0])
        assert are_good(another, made[1])
        await signing.signature(key, MANY[0])
        assert key.here == [MANY[0]], "one alone is signed at once"
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


async def test_they_are_shared_by_who_is_free_and_no_portion_is_too_large(
    key: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    honest = signing_process.frame

    def counted(portion: list[Any]) -> bytes:
        sizes.append(len(portion))
        return honest(portion)

    signing = Signing(2)
    async with at_work(signing, key):
        monkeypatch.setattr(signing_process, "frame", counted)
        await all_of(signing, key, MANY[:9])
        assert sizes == [5, 4]
        sizes.clear()
        await all_of(signing, key)
        assert sizes[:2] == [16, 16]
        assert sum(sizes) == len(MANY)


async def test_a_process_that_is_killed_leaves_nobody_without_a_signature(key: Watched, started: list[Process]) -> None:
    signing = Signing(2)
    async with at_work(signing, key) as running:
        asked = await asked_of_who_stands_still(started, signing, key)
        started[0].kill()
        assert are_good(key, await asked)
        await running
        assert are_good(key, await all_of(signing, key)), "and none at work"
        assert all(process.returncode is not None for process in started)
    key.here.clear()
    async with at_work(signing, key):
        assert len(started) == 4


async def test_a_process_that_answers_with_too_few_leaves_nobody_without_a_signature(
    key: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing, read = Signing(2), signing_process.signatures_in
    async with at_work(signing, key):
        monkeypatch.setattr(signing_process, "signatures_in", lambda answer: read(answer)[:-1])
        assert are_good(key, await all_of(signing, key))


async def test_a_process_that_stands_still_is_not_waited_for_longer_than_patience(
    key: Watched, started: list[Process], caplog: pytest.LogCaptureFixture
) -> None:
    signing = Signing(1, patience=2)
    async with at_work(signing, key) as running:
        started[0].send_signal(signal.SIGSTOP)
        assert are_good(key, await all_of(signing, key))
        await running
    assert "TimeoutError" in caplog.text


async def test_a_signal_that_means_the_server_does_not_end_what_signs_for_it(
    key: Watched, started: list[Process]
) -> None:
    signing = Signing(2)
    async with at_work(signing, key):
        for process in started:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
        assert are_good(key, await all_of(signing, key))
        assert key.here == []


async def test_where_no_process_may_be_started_the_server_signs(
    key: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*_: Any, **__: Any) -> Process:
        raise BlockingIOError("no more processes for this user")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    signing = Signing(2)
    async with at_work(signing, key) as running:
        assert running.done()
        assert are_good(key, await all_of(signing, key))
    assert "no more processes" in caplog.text


async def test_who_stops_them_leaves_nobody_without_a_signature(key: Watched, started: list[Process]) -> None:
    signing = Signing(2)
    async with at_work(signing, key) as running:
        asked = await asked_of_who_stands_still(started, signing, key)
        running.cancel()
        assert are_good(key, await asked)


async def test_one_that_fails_and_one_that_nobody_waits_for_harm_no_other(key: Watched, material: bytes) -> None:
    signing, broken = Signing(2), SigningKey("RS256", material)

    def fails(_: bytes) -> bytes:
        raise ValueError("no such key")

    broken.signature = fails
    bad, left, good = (
        asyncio.create_task(signing.signature(each, MANY[number])) for number, each in enumerate((broken, key, key))
    )
    await asyncio.sleep(0)
    left.cancel()
    assert key.verifies(MANY[2], await good)
    assert key.here == [MANY[2]]
    with pytest.raises(ValueError, match="no such key"):
        await bad


def test_a_process_ends_with_the_server_that_was_killed(material: bytes) -> None:
    """Its standard input ends then, whether or not somebody reads its answer."""
    for reads in (True, False):
        asked, to_process = os.pipe()
        answers, from_process = os.pipe()
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", signing_process.__name__],
            dict(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, asked, 0),
                (os.POSIX_SPAWN_DUP2, from_process, 1),
            ],
        )
        for end in (asked, from_process):
            os.close(end)
        if not reads:
            os.close(answers)
        os.write(to_process, signing_process.frame([("RS256", material, b"signing input")]))
        if reads:
            assert os.read(answers, 1 << 16)
            os.close(answers)
        os.close(to_process)
        assert os.waitpid(child, 0)[1] == 0
