"""Another process on the same file, as the tests need it: `rotate PATH FAMILIES [TIMES]` or `rename PATH`."""

import asyncio
import os
import sys
from itertools import count

from detent.core.changes import RaiseServerEpoch, ReplaceClient, ReplaceFamily, changed
from detent.stores.sqlite import SqliteStore
from detent.testing.factories import a_client, a_family


async def rotate(path: str, families: int, times: int) -> None:
    """Rotate all families side by side, `times` in all (0: for ever), and say each generation once it is durable."""
    store = await SqliteStore.open(path)
    left = iter(range(times)) if times else count()

    async def one(number: int) -> None:
        for _ in left:
            found = await store.family(a_family(number).key)
            assert found
            generation = found.family.generation + 1
            await store.apply(changed(ReplaceFamily(a_family(number, version=generation, generation=generation))))
            os.write(1, f"{number} {generation}\n".encode())

    await asyncio.gather(*map(one, range(families)))
    await store.close()


async def rename(path: str) -> None:
    """Open, say so, wait for a line, write, say so."""
    store = await SqliteStore.open(path)
    assert await store.client("app")
    os.write(1, b"ready\n")
    await asyncio.to_thread(sys.stdin.readline)
    renamed = a_client(client_name="renamed", version=2)
    await store.apply(changed(ReplaceClient(renamed), RaiseServerEpoch()))
    os.write(1, b"done\n")
    await store.close()


match sys.argv[1:]:
    case ["rotate", path, families, *times]:
        asyncio.run(rotate(path, int(families), int(times[0]) if times else 0))
    case ["rename", path]:
        asyncio.run(rename(path))
