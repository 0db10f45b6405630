"""Where the time of a refresh goes: each part alone, in microseconds. `python -m bench.parts [--alg ES256]`

In this process, on one core, without a socket. Every part works on the next family each time, as under load; but
alone it has the processor's caches for itself, so that the sum is less than the whole. The least of five rounds counts:
noise only adds. The whole, below the sum, is a refresh from the bytes of its request to those of its answer.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.generator import first_core
from bench.instructions import AT_ONCE, BASIC, ISSUER, Wire, request_of
from bench.processes import new_folder
from bench.server import API, CLIENT_ID, Silent, seeded
from bench.table import published
from detent.app import House, Outside
from detent.cli.serving import run
from detent.client_auth.authenticate import authenticated, claimed
from detent.core.api import Target
from detent.core.changes import Changes, ReplaceFamily
from detent.core.confirmation import BEARER
from detent.core.exchange import Request, TokenResponse
from detent.core.family import Family, Presented, Rotate, Surroundings, decide
from detent.identity.passwords import Passwords
from detent.keys.file import FileKeys
from detent.stores import rows, sql
from detent.stores.sqlite import SqliteStore
from detent.stores.sqlite.connection import open_connection
from detent.stores.statements import steps_of
from detent.system import SystemClock, SystemEntropy
from detent.tokens.handle import RefreshHandle, is_of
from detent.web.form import parse_form
from detent.web.respond import json_private
from detent.web.server import Server

MANY, ROUNDS, SHARING = 640, 5, 20  # families; rounds; rotations that share a commit at 64 connections
HEAD: Final = "| part | µs |\n|---|--:|"
TOUCH: Final = "UPDATE family SET last_used_at = last_used_at + 1 WHERE placement = ? AND id = ?"
Part = Callable[[int], Any]


class Whole:
    """A house with its families, and each value that one part hands to the next."""

    def __init__(self, house: House, store: SqliteStore, tokens: list[str]) -> None:
        self.house, self.store, self.now = house, store, house.outside.clock.now()
        self.around = Surroundings(handle_key=house.handles.current_key)
        headers = {"host": "127.0.0.1:1", "authorization": f"Basic {BASIC}"}
        headers["content-type"] = "application/x-www-form-urlencoded"
        bodies = [f"grant_type=refresh_token&refresh_token={token}".encode() for token in tokens]
        self.requests = [Request("POST", "/oauth/token", "", headers, body, "127.0.0.1", "") for body in bodies]
        self.tokens = tokens
        self.handles = [self._opened(token) for token in tokens]

    def _opened(self, token: str) -> RefreshHandle:
        handle = self.house.handles.open_refresh(token, CLIENT_ID)
        assert handle
        return handle

    async def prepare(self) -> None:
        client, api = await self.store.client(CLIENT_ID), await self.store.api(API)
        assert client
        assert api
        self.client, self.target = client, Target((api,), ("api",))
        self.form = parse_form(self.requests[0])
        self.claim = claimed(self.house.registry.client_auth, self.requests[0], self.form)
        found = [await self.store.family(handle.key) for handle in self.handles]
        self.families = [each.family for each in found if each]
        self.after = [self._rotated(number) for number in range(len(self.families))]

    def decided(self, number: int) -> Any:
        handle = self.handles[number]
        presented = Presented(handle.generation, handle.epoch)
        return decide(self.families[number], presented, self.client.policy, self.around, self.now)

    def _rotated(self, number: int) -> Family:
        decision = self.decided(number)
        assert isinstance(decision, Rotate)
        return decision.after

    async def minted(self) -> None:
        mint = self.house.issuing.mint
        for family in self.families:
            await mint.access_token(self.target, self.client, self.now, cnf=BEARER, family=family)

    def answered(self, number: int) -> Any:
        return json_private(TokenResponse("a" * 500, "Bearer", 300, "api", refresh_token=self.tokens[number]))

    async def authenticated(self) -> None:
        auth = self.house.registry.client_auth
        for request in self.requests:
            await authenticated(auth, claimed(auth, request, self.form), self.store, self.now)


def least(part: Part) -> float:
    """Microseconds of one, in the quickest round."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for number in range(MANY):
            part(number)
        times.append(time.perf_counter() - began)
    return 1e6 * min(times) / MANY


async def parts(whole: Whole, folder: Path) -> Iterator[tuple[str, float]]:
    with closing(open_connection(folder / "detent.db")) as db:
        read, update, commit = on_disk(whole, db)
    edge = await at_the_edge(whole)
    house, requests, tokens = whole.house, whole.requests, whole.tokens
    return iter(
        (
            ("HTTP edge, route and an empty answer", edge),
            ("form parsed", least(lambda number: parse_form(requests[number]))),
            ("client authenticated", await quickest(whole.authenticated)),
            ("handle opened (outer tag)", least(lambda number: house.handles.open_refresh(tokens[number], CLIENT_ID))),
            ("row read and decoded", read),
            ("inner tag", least(lambda number: is_of(whole.handles[number], whole.families[number]))),
            ("decided", least(whole.decided)),
            ("claims made and signed", await quickest(whole.minted)),
            ("next handle made", least(lambda number: house.handles.refresh_token(whole.after[number]))),
            ("row encoded and updated", update),
            (f"commit, shared by {SHARING} (waits for the disk, in a thread)", commit),
            ("answer encoded", least(whole.answered)),
        )
    )


def on_disk(whole: Whole, db: Any) -> tuple[float, float, float]:
    """A read with its decoding, an update with its encoding, and the share of a commit; all updates are undone."""

    def read(number: int) -> None:
        key = whole.handles[number].key
        ((*row,),) = db.execute(sql.FAMILY, (key.placement, key.id))
        rows.found_family(key, tuple(row))

    def update(number: int) -> None:
        for step in steps_of(Changes((ReplaceFamily(whole.after[number]),))):
            db.execute(step.text, step.values)

    reading = least(read)
    updates = []
    for _ in range(ROUNDS):
        db.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        for number in range(MANY):
            update(number)
        updates.append(1e6 * (time.perf_counter() - began) / MANY)
        db.execute("ROLLBACK")
    commits = []
    for start in range(0, MANY - SHARING, SHARING):
        db.execute("BEGIN IMMEDIATE")
        for number in range(start, start + SHARING):
            key = whole.handles[number].key
            db.execute(TOUCH, (key.placement, key.id))
        began = time.perf_counter()
        db.execute("COMMIT")
        commits.append(1e6 * (time.perf_counter() - began) / SHARING)
    return reading, min(updates), sorted(commits)[len(commits) // 2]


async def quickest(everything: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await everything()
        times.append(time.perf_counter() - began)
    return 1e6 * min(times) / MANY


async def at_the_edge(whole: Whole) -> float:
    request = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"
    return await asked(whole, [request] * MANY)


async def asked(whole: Whole, requests: list[bytes]) -> float:
    """Microseconds of each request in the quickest round of `AT_ONCE` together."""
    server = Server(whole.house.asgi)
    server.config.load()
    wires = [Wire(server) for _ in range(AT_ONCE)]
    times = []
    for start in range(0, len(requests), AT_ONCE):
        began = time.perf_counter()
        together = [wire.ask(request) for wire, request in zip(wires, requests[start:], strict=False)]
        answers = await asyncio.gather(*together)
        times.append(time.perf_counter() - began)
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers), answers[0]
    return 1e6 * min(times) / AT_ONCE


async def main(options: argparse.Namespace) -> None:
    os.sched_setaffinity(0, {first_core()})
    folder, clock = new_folder(), SystemClock()
    keys = FileKeys.open(folder / "keys", clock)
    store = await SqliteStore.open(folder / "detent.db")
    house = House(Outside(store, store, keys, clock, SystemEntropy(), Silent(), Passwords()), issuer=ISSUER)
    whole = Whole(house, store, await seeded(house, keys, options.alg, MANY, ("api",)))
    await whole.prepare()
    told = dict(await parts(whole, folder))
    told["**sum**"] = sum(told.values())
    told[f"**a whole refresh**, {AT_ONCE} at once"] = await asked(whole, [request_of(token) for token in whole.tokens])
    await store.close()
    if options.json:
        return print(msgspec.json.encode(told).decode())
    lines = "\n".join(f"| {part} | {microseconds:.1f} |" for part, microseconds in told.items())
    print(f"{HEAD}\n{lines}")
    if options.markdown:
        published("parts", f"{options.alg}:\n\n{HEAD}\n{lines}")
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alg", default="ES256")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="write the table into docs/performance.md too")
    run(main(parser.parse_args()))
