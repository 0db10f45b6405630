"""Several processes on one file: nobody loses what was acknowledged, everybody sees what the others wrote."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from detent.core.changes import InsertClient, InsertFamily, ReplaceFamily, changed
from detent.stores.sqlite import SqliteStore
from detent.testing.factories import a_client, a_family

PROCESS = Path(__file__).with_name("process.py")
FAMILIES = 8


async def process(*arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, PROCESS, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


async def generations(store: SqliteStore) -> dict[int, int]:
    return {int.from_bytes(family.key.id, "big"): family.generation for family in await store.families()}


async def test_no_rotation_that_was_acknowledged_is_lost_when_the_process_is_killed(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(changed(*(InsertFamily(a_family(number)) for number in range(FAMILIES))))
    await store.close()
    acknowledged = dict.fromkeys(range(FAMILIES), 1)
    for _ in range(3):
        writer = await process("rotate", path, str(FAMILIES))
        assert writer.stdout
        for _ in range(200):
            number, generation = map(int, (await writer.stdout.readline()).split())
            acknowledged[number] = generation
        writer.send_signal(signal.SIGKILL)
        for line in (await writer.stdout.read()).splitlines(keepends=True):
            if line.endswith(b"\n"):
                number, generation = map(int, line.split())
                acknowledged[number] = generation
        assert await writer.wait() == -signal.SIGKILL
        store = await SqliteStore.open(path)
        found = await generations(store)
        assert sum(acknowledged.values()) > 200
        assert {number: found[number] >= last for number, last in acknowledged.items()} == dict.fromkeys(found, True)
        await store.close()


async def test_what_the_command_line_writes_is_seen_within_a_second(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(changed(InsertClient(a_client())))
    other = await process("rename", path)
    assert other.stdin
    assert other.stdout
    await other.stdout.readline()  # it has opened the store and waits
    loop = asyncio.get_running_loop()
    assert await store.client("app") == a_client()
    other.stdin.write(b"\n")
    await other.stdout.readline()  # it has written
    since = loop.time()
    while await store.client("app") == a_client():
        assert loop.time() < since + 1
        await asyncio.sleep(0.01)
    assert await store.client("app") == a_client(client_name="renamed", version=2)
    assert (await store.installation()).server_epoch == 1
    assert await other.wait() == 0
    await store.close()


async def test_two_processes_write_at_once_and_nobody_meets_a_lock(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.apply(changed(*(InsertFamily(a_family(number)) for number in range(FAMILIES + 1))))
    other = await process("rotate", path, str(FAMILIES), "400")
    mine = 1
    while other.returncode is None:
        mine += 1
        await store.apply(changed(ReplaceFamily(a_family(FAMILIES, version=mine, generation=mine))))
    assert other.returncode == 0
    found = await generations(store)
    assert found.pop(FAMILIES) == mine
    assert sum(found.values()) == FAMILIES + 400
    await store.close()
