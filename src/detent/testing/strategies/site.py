"""A house with one client for each line of the tables, whose people sign in, refresh, lose answers and are robbed.

Every request goes through the real endpoint as a value (core/exchange); the store is SQLite on a disk and counts its
statements. Time is a clock that only moves when a situation says so.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlencode

import apsw
import msgspec

from detent.admin.registrations import ApiFields, ClientFields
from detent.app import House, Outside
from detent.core.changes import Changes, RaiseServerEpoch
from detent.core.events import Event
from detent.core.exchange import Request
from detent.identity.passwords import CHEAP, Passwords
from detent.keys.file import FileKeys
from detent.stores.sqlite import SqliteStore
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock

ISSUER, API, PASSWORD, SECRET = "https://id.example/", "https://api.example/", "a password", "a client's secret"
MINUTE: Final = 60
_GRANTS: Final = ("password", "refresh_token")


class Choice(msgspec.Struct, frozen=True):
    """A line of the tables: a client that chose this."""

    name: str
    fields: ClientFields


CHOICES: Final = (
    Choice("`family`", ClientFields()),
    Choice("`family`, rotating", ClientFields(rotating=True)),
    Choice("`allowlist`", ClientFields(refresh_strategy="allowlist")),
    Choice("`denylist`", ClientFields(refresh_strategy="denylist")),
    Choice("`unique_claim`", ClientFields(refresh_strategy="unique_claim")),
    Choice("`short_lived`", ClientFields(refresh_strategy="short_lived")),
    Choice("`user_secret`", ClientFields(refresh_strategy="user_secret")),
)


class Statements(msgspec.Struct, frozen=True):
    reads: int
    writes: int
    inserts: int
    commits: int


class _Unheard:
    def emit(self, event: Event) -> None:
        pass


class Device:
    """Something that holds a refresh token and presents what it holds."""

    def __init__(self, site: "Site", client_id: str, username: str, refresh_token: str) -> None:
        self.site = site
        self.client_id = client_id
        self.username = username
        self.refresh_token = refresh_token

    def copied(self) -> "Device":
        return Device(self.site, self.client_id, self.username, self.refresh_token)

    async def refresh(self, *, loses_answer: bool = False) -> bool:
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        answer = await self.site.post("/oauth/token", self.client_id, form)
        if answer and not loses_answer:
            self.refresh_token = answer["refresh_token"]
        return answer is not None

    async def sign_out(self) -> None:
        await self.site.post("/oauth/revoke", self.client_id, {"token": self.refresh_token})


class Site:
    def __init__(self, house: House, store: SqliteStore, file: Path, clock: ManualClock) -> None:
        self.house = house
        self.clock = clock
        self._store = store
        self._file = file
        self._numbers = count(1)

    async def post(self, path: str, client_id: str, form: dict[str, str]) -> dict[str, Any] | None:
        """The body of the answer, {} for an empty one; None for a refusal."""
        basic = base64.b64encode(f"{client_id}:{SECRET}".encode()).decode()
        headers = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {basic}"}
        request = Request("POST", path, "", headers, urlencode(form).encode(), "192.0.2.1", "support")
        response = await self.house.registry.routes[path].handler(request)
        if response.status != 200:
            return None
        body: dict[str, Any] = json.loads(response.body or b"{}")
        return body

    async def sign_in(self, choice: Choice, username: str = "") -> Device:
        """A new person unless one is named."""
        if not username:
            username = f"person-{next(self._numbers)}"
            await self.house.people.add(username, PASSWORD)
        client_id = str(CHOICES.index(choice))
        form = {"grant_type": "password", "username": username, "password": PASSWORD}
        answer = await self.post("/oauth/token", client_id, form)
        if answer is None:
            raise RuntimeError(f"{username} could not sign in")
        return Device(self, client_id, username, answer["refresh_token"])

    async def reset_password_of(self, username: str) -> None:
        user = await self.house.people.named(username)
        if user is None:
            raise RuntimeError(f"there is no {username}")
        await self.house.people.set_password(user.subject, "another password")

    async def cut_everybody_off(self) -> None:
        await self._store.apply(Changes((RaiseServerEpoch(),)))

    def statements(self) -> Statements:
        now = self._store.counters
        return Statements(now.reads, now.writes, now.inserts, now.commits)

    def rows(self) -> int:
        """How many rows hold what refresh tokens need: families and records."""
        database = apsw.Connection(str(self._file), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            families, records = database.execute(
                "SELECT (SELECT count(*) FROM family), (SELECT count(*) FROM record)"
            ).get
            return int(families) + int(records)
        finally:
            database.close()


@asynccontextmanager
async def opened() -> AsyncIterator[Site]:
    passwords = Passwords(CHEAP)
    with TemporaryDirectory() as folder:
        clock, file = ManualClock(), Path(folder) / "detent.db"
        keys = await asyncio.to_thread(FileKeys.open, Path(folder) / "keys", clock)
        store = await SqliteStore.open(file)
        try:
            outside = Outside(store, store, keys, clock, SystemEntropy(), _Unheard(), passwords)
            house = House(outside, issuer=ISSUER, password_grant=True)
            await _register(house)
            yield Site(house, store, file, clock)
        finally:
            await store.close()
            passwords.close()


async def _register(house: House) -> None:
    registrations = house.registrations
    await registrations.add_api(API, ApiFields(scopes={"read": "Read"}, signing_alg="ES256"))
    for number, choice in enumerate(CHOICES):
        fields = msgspec.structs.replace(choice.fields, grant_types=_GRANTS, scope=("read",), default_audience=API)
        await registrations.add_client("web", fields, client_id=str(number), client_secret=SECRET)
