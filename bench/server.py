"""The server under load: a whole house on SQLite with many families, told what to do by lines on standard input.

Prints one JSON line when it serves, then one for each line `figures` that it reads: what its store and its process
have done so far. Ends when standard input does.
Rule: nothing here is faster than production: WAL, synchronous=FULL, the answer after the commit, real keys.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from detent.app import House, Outside
from detent.cli.serving import run
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
from detent.web.server import Served, serve_until_signal

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
    telling = asyncio.create_task(tell(store))
    await serve_until_signal([Served(house.asgi, [loopback.socket])], lambda: say({"url": loopback.url}))
    await telling
    await store.close()


async def tell(store: SqliteStore) -> None:
    """A line of figures for each line read; stops the server when there are no more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        say({**msgspec.structs.asdict(store.counters), "cpu": sum(os.times()[:2])})
    os.kill(os.getpid(), signal.SIGTERM)


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


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    folder_, alg_, families_, scope_ = sys.argv[1:]
    run(main(Path(folder_), alg_, int(families_), tuple(scope_.split())))  # type: ignore[arg-type]
