"""The server under load: a whole house on SQLite with many families, told what to do by lines on standard input.

Prints one JSON line when it serves, then one for each line `figures` that it reads: what its store and its process
have done so far. Ends when standard input does.
Rule: nothing here is faster than production: WAL, synchronous=FULL, the answer after the commit, real keys.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

from detent.app import House, Outside
from detent.client_auth.secret import secret_digest
from detent.core.api import Api, SigningAlg
from detent.core.authorization import Authorization
from detent.core.changes import Changes, InsertApi, InsertClient, InsertFamily
from detent.core.client import Client
from detent.core.events import Event
from detent.core.family import Origin, Surroundings, born, with_first_handle
from detent.core.ids import ClientId, FamilyKey, Instant, Subject, placement_of
from detent.core.policy import Overrides
from detent.identity.passwords import Passwords
from detent.keys.file import FileKeys
from detent.stores.sqlite import SqliteStore
from detent.system import SystemClock, SystemEntropy
from detent.testing.server import Loopback

CLIENT_ID, CLIENT_SECRET, API = ClientId("bench"), "bench-secret", "https://api.example/"
BATCH = 500
_NOWHERE = Origin()


class Silent:
    def emit(self, event: Event) -> None:
        pass


async def main(folder: Path, alg: SigningAlg, families: int, scope: tuple[str, ...]) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    keys = FileKeys.open(folder / "keys", clock)
    store = await SqliteStore.open(folder / "detent.db")
    loopback = Loopback()
    outside = Outside(store, store, keys, clock, entropy, Silent(), Passwords())
    house = House(outside, issuer=loopback.url)
    tokens = await seeded(house, keys, alg, families, scope)
    (folder / "tokens").write_text("\n".join(tokens))
    server = uvicorn.Server(
        uvicorn.Config(house.asgi, http="httptools", loop="uvloop", lifespan="off", log_config=None, access_log=False)
    )
    serving = asyncio.create_task(server.serve(sockets=[loopback.socket]))
    say({"url": loopback.url, "pid": os.getpid()})
    async for _ in lines():
        say({**figures(store), "cpu": sum(os.times()[:2]), "at": time.monotonic()})
    server.should_exit = True
    await serving
    await store.close()


async def seeded(house: House, keys: FileKeys, alg: SigningAlg, families: int, scope: tuple[str, ...]) -> list[str]:
    """One confidential client that rotates strictly, one API, and this many families; their refresh tokens."""
    outside = house.outside
    now = outside.clock.now()
    client = Client(
        CLIENT_ID,
        "web",
        now,
        grant_types=("refresh_token",),
        token_endpoint_auth_method="client_secret_basic",
        secrets=(secret_digest(CLIENT_SECRET, keys, now),),
        scope=("api",),
        overrides=Overrides(rotating=True, overlap=0),
    )
    api = Api(API, now, scopes={"api": "Use it"}, signing_alg=alg)
    await outside.store.apply(Changes((InsertClient(client), InsertApi(api))))
    around = Surroundings(handle_key=house.handles.current_key)
    tokens = []
    for start in range(0, families, BATCH):
        batch = []
        for number in range(start, min(start + BATCH, families)):
            subject = Subject(f"person-{number}")
            key = FamilyKey(placement_of(subject), outside.entropy.token_bytes(16))
            authorization = Authorization(CLIENT_ID, subject, scope, (API,), now, auth_time=now)
            family = born(key, authorization, Instant(now + client.policy.absolute), _NOWHERE)
            family = with_first_handle(family, client.policy, around, outside.entropy.token_bytes(32))
            batch.append(InsertFamily(family))
            tokens.append(house.handles.refresh_token(family))
        await outside.store.apply(Changes(tuple(batch)))
    return tokens


def figures(store: SqliteStore) -> dict[str, Any]:
    counted = store.counters
    return {name: getattr(counted, name) for name in ("reads", "writes", "inserts", "commits")}


async def lines() -> Any:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    folder_, alg_, families_, scope_ = sys.argv[1:]
    asyncio.run(main(Path(folder_), alg_, int(families_), tuple(scope_.split())))  # type: ignore[arg-type]
