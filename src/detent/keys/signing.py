"""Long signatures: one is made at once, those of a busy moment by processes of their own.

An RSA signature takes a quarter of a millisecond without the interpreter's lock. A thread that has made one waits for
that lock while the loop runs; a process does not (docs/decisions/0046). What is asked for while all processes are at
work waits, and is the next portion: so portions grow with the load, as commits do.
Rule: whatever becomes of a process, what it was asked for is signed, here if need be.
"""

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

from detent.keys import signing_process
from detent.keys.material import SigningKey

log = logging.getLogger("detent.keys")

_MOST: Final = 16  # in one portion, whose first waits for its last
_BUSY: Final = 4  # asked for in one moment: processes are worth their memory
_PATIENCE: Final = 10.0  # seconds; a portion takes a hundredth


class _Asked(NamedTuple):
    key: SigningKey
    signing_input: bytes
    answer: asyncio.Future[bytes]


class Signing:
    """For one thread, that of the event loop. `processes` are at work while `run` runs, from the first busy moment on.

    `patience` is how many seconds one may take for a portion.
    """

    def __init__(self, processes: int, patience: float = _PATIENCE) -> None:
        self._processes = processes
        self._patience = patience
        self._asked: list[_Asked] = []
        self._busy, self._some = asyncio.Event(), asyncio.Event()
        self._ready = False
        self._idle = 0

    async def signature(self, key: SigningKey, signing_input: bytes) -> bytes:
        if not self._processes:
            return key.signature(signing_input)
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._hand_over)
        asked = _Asked(key, signing_input, loop.create_future())
        self._asked.append(asked)
        return await asked.answer

    async def run(self) -> None:
        """Beside the requests, until cancelled or one of the processes ends; it may then be run again."""
        self._busy.clear()
        await self._busy.wait()
        try:
            async with AsyncExitStack() as stack:
                await self._at_work([await stack.enter_async_context(_process()) for _ in range(self._processes)])
        except* (OSError, EOFError) as ended:
            log.warning(
                "no process makes RSA signatures now, since one ended (%r): they are made here", ended.exceptions[0]
            )

    async def _at_work(self, processes: "Sequence[_Process]") -> None:
        for process in processes:
            await process.signatures((), self._patience)  # it has started
        self._ready = True
        try:
            async with asyncio.TaskGroup() as group:
                for process in processes:
                    group.create_task(self._kept_busy(process))
        finally:
            self._ready = False
            self._hand_over()

    def _hand_over(self) -> None:
        """What was asked for in one step of the loop."""
        if len(self._asked) >= _BUSY:
            self._busy.set()
        if self._ready and len(self._asked) > 1:
            self._some.set()
            return
        asked, self._asked = self._asked, []
        for each in asked:
            _sign_here(each)

    async def _kept_busy(self, process: "_Process") -> None:
        while True:
            portion = await self._portion()
            try:
                signatures = await process.signatures(portion, self._patience)
                for asked, signature in zip(portion, signatures, strict=True):
                    if not asked.answer.done():  # else nobody waits for it
                        asked.answer.set_result(signature)
            except BaseException:
                self._asked[:0] = portion
                raise

    async def _portion(self) -> list[_Asked]:
        """The share of a process that is free, as soon as there is something to do."""
        while not self._asked:
            self._some.clear()
            self._idle += 1
            try:
                await self._some.wait()
            finally:
                self._idle -= 1
        share = min(_MOST, -(-len(self._asked) // (self._idle + 1)))
        portion, self._asked = self._asked[:share], self._asked[share:]
        return portion


def _sign_here(asked: _Asked) -> None:
    if asked.answer.done():
        return
    try:
        asked.answer.set_result(asked.key.signature(asked.signing_input))
    except Exception as error:
        asked.answer.set_exception(error)


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin and process.stdout  # noqa: S101, PT018 - both are pipes
        self._requests, self._answers = process.stdin, process.stdout

    async def signatures(self, portion: Sequence[_Asked], patience: float) -> list[bytes]:
        wanted = [(each.key.alg, each.key.material, each.signing_input) for each in portion]
        async with asyncio.timeout(patience):
            self._requests.write(signing_process.frame(wanted))
            await self._requests.drain()
            length = int.from_bytes(await self._answers.readexactly(signing_process.LENGTH), "big")
            return signing_process.signatures_in(await self._answers.readexactly(length))


@asynccontextmanager
async def _process() -> AsyncIterator[_Process]:
    """-P: no module is looked for where the server happens to have been started."""
    python = (sys.executable, "-P", "-m", signing_process.__name__)
    child = await asyncio.create_subprocess_exec(*python, stdin=PIPE, stdout=PIPE)
    try:
        yield _Process(child)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
