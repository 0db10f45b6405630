"""The server under load: a whole house with many families, told what to do by lines on standard input.

Prints one JSON line when it serves, then one for each line that it reads: `figures` tells what its store and process
have done so far, `codes N` and `access N` make authorization codes and access tokens, one form body a line, in a file.
Ends when standard input does. Rule: nothing here is faster than production: WAL, synchronous=FULL, the answer after
the commit, real keys, real password hashes.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.filling import fill
from detent.app import House, Outside
from detent.cli.serving import run
from detent.client_auth.secret import secret_digest
from detent.core.api import Api, SigningAlg, Target
from detent.core.authorization import Authorization, PendingAuthorization, code_challenge_s256
from detent.core.changes import Changes, InsertApi, InsertClient, InsertFamily
from detent.core.client import Client
from detent.core.confirmation import BEARER
from detent.core.events import Event
from detent.core.family import Family, Origin, Surroundings, born, with_first_handle
from detent.core.ids import ClientId, FamilyKey, Instant, Seconds, Subject, placement_of
from detent.core.policy import Overrides
from detent.grants.authorization_code import sealed_code
from detent.identity.passwords import Passwords
from detent.identity.throttle import Allowance, Allowances
from detent.keys.file import FileKeys
from detent.stores.postgres import PostgresStore
from detent.stores.sqlite import SqliteStore
from detent.system import SystemClock, SystemEntropy
from detent.testing.server import Loopback
from detent.web.server import Served, serve_until_signal

CLIENT_ID, CLIENT_SECRET, API = ClientId("bench"), "bench-secret", "https://api.example/"
REDIRECT_URI, PASSWORD, PEOPLE = "https://app.example/cb", "the right password", 8
BATCH: Final = 500
MOST_TOKENS: Final = 50_000  # that are written down: an even sample of the families
GRANTS: Final = ("refresh_token", "authorization_code", "client_credentials", "password")
_NOWHERE: Final = Origin()
_PLENTY: Final = Allowance(10**9, Seconds(1))  # a storm of sign-ins is to be answered, not turned away
Told = dict[str, Any]


class Silent:
    def emit(self, event: Event) -> None:
        pass


class Bench:
    """The house and what the lines on standard input ask of it."""

    def __init__(self, folder: Path, keys: FileKeys, house: House, alg: SigningAlg, scope: tuple[str, ...]) -> None:
        self.folder, self.keys, self.house, self.alg, self.scope = folder, keys, house, alg, scope
        self._made = 0

    async def seed(self, families: int) -> None:
        in_file = isinstance(self.house.outside.store, SqliteStore)
        made = min(families, MOST_TOKENS) if in_file else families  # by the server itself; the others are copies
        tokens = await seeded(self.house, self.keys, self.alg, made, self.scope)
        if made < families:
            fill(self.folder / "detent.db", families)
        (self.folder / "tokens").write_text("\n".join(tokens) + "\n")
        for number in range(PEOPLE):
            await self.house.people.add(f"person-{number}", PASSWORD, subject=f"person-{number}")

    def figures(self, _: int) -> Told:
        return {**msgspec.structs.asdict(self.house.outside.store.counters), "cpu": sum(os.times()[:2])}  # type: ignore[attr-defined]

    def codes(self, many: int) -> Told:
        """Codes that nobody has redeemed, as the authorization endpoint seals them, and what redeems each."""
        now = self.house.outside.clock.now()
        lines = []
        for key, authorization in self._authorizations(many, now):
            verifier = self.house.outside.entropy.token_bytes(24).hex()
            life = Instant(now + 3600)  # longer than in production: they are made beforehand
            challenge = code_challenge_s256(verifier)
            pending = PendingAuthorization(key, authorization, life, REDIRECT_URI, challenge)
            code = sealed_code(self.house.handles, pending)
            form = f"grant_type=authorization_code&code={code}&redirect_uri={REDIRECT_URI}&code_verifier={verifier}"
            lines.append(form)
        return self._written("codes", lines)

    async def access(self, many: int) -> Told:
        """Access tokens of new families, never presented anywhere, for introspection."""
        outside, now = self.house.outside, self.house.outside.clock.now()
        client, api = await outside.store.client(CLIENT_ID), await outside.store.api(API)
        assert client
        assert api
        lines, parts = [], []
        for key, authorization in self._authorizations(many, now):
            family = born(key, authorization, Instant(now + client.policy.absolute), _NOWHERE)
            token, _ = await self.house.issuing.mint.access_token(
                Target((api,), self.scope), client, now, cnf=BEARER, family=family
            )
            lines.append(f"token={token}")
            parts.append(InsertFamily(family))
        for start in range(0, many, BATCH):
            await outside.store.apply(Changes(tuple(parts[start : start + BATCH])))
        return self._written("access", lines)

    def _authorizations(self, many: int, now: Instant) -> Iterator[tuple[FamilyKey, Authorization]]:
        for number in range(many):
            subject = Subject(f"person-{number % PEOPLE}")
            key = FamilyKey(placement_of(subject), self.house.outside.entropy.token_bytes(16))
            yield key, Authorization(CLIENT_ID, subject, self.scope, (API,), now, auth_time=now)

    def _written(self, kind: str, lines: list[str]) -> Told:
        self._made += 1
        file = self.folder / f"{kind}-{self._made}"
        file.write_text("\n".join(lines) + "\n")
        return {"file": str(file)}


async def main(options: argparse.Namespace) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    keys = FileKeys.open(options.folder / "keys", clock)
    store: Any
    if options.postgres:
        store = await PostgresStore.open(options.postgres)
    else:
        store = await SqliteStore.open(options.folder / "detent.db")
    loopback = Loopback()
    outside = Outside(store, store, keys, clock, entropy, Silent(), Passwords())
    allowances = Allowances(_PLENTY, _PLENTY, _PLENTY, _PLENTY, _PLENTY)
    house = House(outside, issuer=loopback.url, password_grant=True, allowances=allowances)
    bench = Bench(options.folder, keys, house, options.alg, tuple(options.scope.split()))
    if options.families:
        await bench.seed(options.families)
    telling, signing = asyncio.create_task(tell(bench)), asyncio.create_task(keys.signing.run())
    await serve_until_signal([Served(house.asgi, [loopback.socket])], lambda: say({"url": loopback.url}))
    await telling
    signing.cancel()
    await asyncio.gather(signing, return_exceptions=True)
    await store.close()


async def tell(bench: Bench) -> None:
    """An answer for each line read; stops the server when there are no more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        name, *number = line.decode().split()
        told = getattr(bench, name)(int(number[0]) if number else 0)
        say(await told if asyncio.iscoroutine(told) else told)
    os.kill(os.getpid(), signal.SIGTERM)


async def seeded(house: House, keys: FileKeys, alg: SigningAlg, families: int, scope: tuple[str, ...]) -> list[str]:
    """One confidential client that rotates strictly, one API, and this many families; refresh tokens of theirs."""
    outside = house.outside
    now = outside.clock.now()
    client = a_client(keys, now)
    api = Api(API, now, scopes={"api": "Use it"}, signing_alg=alg)
    await outside.store.apply(Changes((InsertClient(client), InsertApi(api))))
    around = Surroundings(handle_key=house.handles.current_key)
    tokens, every = [], -(-families // MOST_TOKENS)
    for start in range(0, families, BATCH):
        batch = []
        for number in range(start, min(start + BATCH, families)):
            subject = Subject(f"person-{number}")
            key = FamilyKey(placement_of(subject), outside.entropy.token_bytes(16))
            authorization = Authorization(CLIENT_ID, subject, scope, (API,), now, auth_time=now)
            family: Family = born(key, authorization, Instant(now + client.policy.absolute), _NOWHERE)
            family = with_first_handle(family, client.policy, around, outside.entropy.token_bytes(32))
            batch.append(InsertFamily(family))
            if number % every == 0:
                tokens.append(house.handles.refresh_token(family))
        await outside.store.apply(Changes(tuple(batch)))
    return tokens


def a_client(keys: FileKeys, now: Instant) -> Client:
    return Client(
        CLIENT_ID,
        "web",
        now,
        grant_types=GRANTS,
        redirect_uris=(REDIRECT_URI,),
        token_endpoint_auth_method="client_secret_basic",
        secrets=(secret_digest(CLIENT_SECRET, keys, now),),
        scope=("openid", "api"),
        default_audience=API,
        overrides=Overrides(rotating=True, overlap=0),
    )


def say(what: Told) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--alg", default="ES256")
    parser.add_argument("--families", type=int, default=0, help="none: the store is there already")
    parser.add_argument("--scope", default="api")
    parser.add_argument("--postgres", help="the address of a database, in place of a SQLite file")
    run(main(parser.parse_args()))
