"""What clients see of a server that is asked for all it can give, and whether a right server can have answered so.

Beside the load of the other scenarios honest clients refresh, lose answers, ask twice at once; in the end a thief comes
to each with an old token. All of it is recorded and judged by `detent.testing.history`.
"""

import asyncio
import random
import secrets
from collections.abc import Iterator
from typing import Final

import httpx

from bench.generator import CREDENTIALS, Load
from bench.measure import Line, Options, Point, run
from bench.processes import Database, Server
from bench.server import PASSWORD, PEOPLE
from detent.core.policy import Overrides, effective_policy
from detent.system import SystemClock
from detent.testing.history.check import Violation, check
from detent.testing.history.record import Recorder

CLIENTS: Final = 32
LOST: Final = 0.1  # of the answers; as many are asked for twice at once
POLICY: Final = effective_policy("web", Overrides(rotating=True, overlap=0))


def history(options: Options) -> Iterator[Line]:
    """On either store, as fast as each is anywhere here."""
    yield _judged("SQLite", Server(families=options.chains), (), options)
    database = Database()
    server = Server(families=options.chains, postgres=database.address)
    yield _judged("PostgreSQL", server, database.pids(), options)


def _judged(store: str, server: Server, pids: tuple[int, ...], options: Options) -> Line:
    seen = Seen(server)
    meanwhile = asyncio.run(seen.beside(Load("rotate", server.token_url, (server.tokens,)), pids, options))
    server.stop()
    violations = seen.violations()
    ours = f"{len(violations)} of {len(seen.recorder.requests):,} requests, {seen.reused} reuses found"
    note = "; ".join([f"{meanwhile.rate:,.0f} other refreshes/s meanwhile", *map(str, violations[:3]), *seen.odd[:3]])
    met = not violations and not seen.odd and seen.reused == CLIENTS
    return Line(f"history at full load, {store}: violations", "0", ours, met=met, note=note)


class Seen:
    """Every request of these clients and its answer. `odd` is what an honest client was told instead of tokens."""

    def __init__(self, server: Server) -> None:
        self.recorder = Recorder(SystemClock())
        self.odd: list[str] = []
        self.reused = 0
        self._server = server
        self._over = False

    def violations(self) -> list[Violation]:
        return check(self.recorder.requests, {CREDENTIALS[0]: POLICY})

    async def beside(self, load: Load, pids: tuple[int, ...], options: Options) -> Point:
        limits = httpx.Limits(max_connections=2 * CLIENTS)
        async with httpx.AsyncClient(
            base_url=self._server.url, auth=CREDENTIALS, timeout=30, limits=limits
        ) as self._http:
            signed_in = await asyncio.gather(*(self._signed_in(number) for number in range(CLIENTS)))
            living = asyncio.gather(*(self._live(*tokens) for tokens in signed_in))
            seconds = options.seconds * options.repeats
            point = await asyncio.to_thread(run, (*self._server.pids(), *pids), [load], seconds)
            self._over = True
            await living
            return point

    async def _signed_in(self, number: int) -> tuple[str, str]:
        """The first refresh token and its access token."""
        person = {"username": f"person-{number % PEOPLE}", "password": PASSWORD}
        answer = await self._asked("/oauth/token", {"grant_type": "password", **person})
        while answer.status_code == 503:  # hashes take turns
            await asyncio.sleep(0.1)
            answer = await self._asked("/oauth/token", {"grant_type": "password", **person})
        told = answer.json()
        return told["refresh_token"], told["access_token"]

    async def _live(self, token: str, access_token: str) -> None:
        before: list[str] = []
        while not self._over or len(before) < 3:  # the thief comes with one that is older than the one before
            key = secrets.token_urlsafe(16)
            chance = random.random()  # noqa: S311
            answers = await asyncio.gather(*(self._refreshed(token, key) for _ in range(1 + (chance < LOST))))
            if chance > 1 - LOST:
                answers.append(await self._refreshed(token, key))
            told = answers[-1].json()
            if answers[-1].status_code != 200:
                self.odd.append(answers[-1].text)
                return
            before, token, access_token = [*before[-2:], token], told["refresh_token"], told["access_token"]
        thief = await self._refreshed(before[0], secrets.token_urlsafe(16), promised=False)
        owner = await self._refreshed(token, secrets.token_urlsafe(16), promised=False)
        look = await self._asked("/oauth/introspect", {"token": access_token})
        self.reused += (thief.status_code, owner.status_code, look.json().get("active")) == (400, 400, False)

    async def _refreshed(self, token: str, key: str, *, promised: bool = True) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token, "retry_key": key}
        return await self._asked("/oauth/token", form, promised=promised)

    async def _asked(self, path: str, form: dict[str, str], *, promised: bool = False) -> httpx.Response:
        request = self.recorder.started(path, form, CREDENTIALS[0], promised=promised)
        answer = await self._http.post(path, data=form)
        self.recorder.answered(request, answer.status_code, answer.content)
        return answer
