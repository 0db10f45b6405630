"""A whole detent for tests that speak HTTP: issuer, API and people on real sockets, on a clock the test moves.

The cast: `testclient` rotates strictly, `app` is a native app with an overlap of 60 s, `cli` suspects, `spa` is a
browser app, `web` a confidential app that does not rotate, `other` a stranger with a secret of its own, `machine`
acts for itself, `demo-api` may introspect. The APIs: API (JWT), REPORTS (JWT), VAULT (opaque), CURVE (ES256).
"""

import copy
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import apsw
import httpx
import msgspec
from starlette.routing import Route

from detent.app import House, MoreFeatures, Outside, no_more
from detent.client_auth.secret import secret_digest
from detent.core.api import Api
from detent.core.authorization import Authorization, Epochs, PendingAuthorization, code_challenge_s256
from detent.core.changes import Changes, InsertApi, InsertClient, Part
from detent.core.client import DEFAULT_GRANTS, AuthMethod, Client
from detent.core.events import Event
from detent.core.family import Ahead, Family
from detent.core.ids import ClientId, Instant, Seconds
from detent.core.people import User
from detent.core.policy import KINDS, ClientKind, Overrides
from detent.core.session import SessionPolicy
from detent.demo.api import demo_api
from detent.features.status_list import DEFAULT_TTL
from detent.grants.authorization_code import CODE_LIFE, sealed_code
from detent.identity.passwords import CHEAP, Passwords
from detent.identity.throttle import Allowances
from detent.keys.database import DatabaseKeys
from detent.keys.file import FileKeys
from detent.keys.kek import Keks
from detent.ports import Keys
from detent.resource_server import BearerGuard
from detent.stores.memory import MemoryStore
from detent.stores.postgres import PostgresStore
from detent.stores.sql_store import SqlStore
from detent.stores.sqlite import SqliteStore
from detent.stores.sqlite.connection import open_connection
from detent.system import SystemEntropy
from detent.testing.clock import ManualClock
from detent.testing.server import Loopback, ServerThread
from detent.web.outbound import Outbound
from tests.pgbouncer import pooled_database_of
from tests.postgres import database_of

START = Instant(1_790_000_000)
SECRET = "secret"
VERIFIER = "a-code-verifier-of-at-least-forty-three-characters"
REDIRECT_URI = "http://127.0.0.1:7777/callback"
RETURN_URI = "http://127.0.0.1:7777/signed-out"
ORIGIN = "http://127.0.0.1:7777"
API, REPORTS, VAULT, CURVE = (f"https://{name}.example/" for name in ("api", "reports", "vault", "curve"))
SCOPES = {"read": "Read", "write": "Write"}


def trust() -> ssl.SSLContext:
    """What every client of the tests trusts: each would read it for itself, in 30 ms."""
    return _trust(os.environ.get("SSL_CERT_FILE"))


@cache
def _trust(certificates: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates)


class ListSink:
    """An EventSink that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


class Detent:
    """What a test holds: the running house and short ways to speak to it over HTTP."""

    def __init__(
        self,
        thread: ServerThread,
        house: House,
        clock: ManualClock,
        sink: ListSink,
        api_url: str,
        guards: dict[str, BearerGuard],
        url: str,
    ) -> None:
        self.thread = thread
        self.house = house
        self.clock = clock
        self.sink = sink
        self.guards = guards
        self.store: Any = house.outside.store
        self.issuer = house.issuer
        self.url = url  # where it listens: the issuer's, unless that is told to be another
        self.host = {} if url == house.issuer else {"host": urlsplit(house.issuer).netloc}
        # No limit of idle ones: to keep it httpx closes connections that another thread is about to write on.
        limits = httpx.Limits(max_connections=100)
        self.http = httpx.Client(
            base_url=url, timeout=120, headers=self.host, verify=trust(), trust_env=False, limits=limits
        )
        self.api = httpx.Client(base_url=api_url, timeout=120, verify=trust(), trust_env=False)

    def token(self, client: str = "testclient", **form: Any) -> httpx.Response:
        """A request to /oauth/token as this client, with its secret if it has one."""
        return self.post("/oauth/token", client, **form)

    def post(self, path: str, client: str | None, headers: dict[str, str] | None = None, **form: Any) -> httpx.Response:
        if client in CONFIDENTIAL:
            return self.http.post(path, data=form, auth=(client, SECRET), headers=headers)
        if client:
            form = {"client_id": client, **form}
        return self.http.post(path, data=form, headers=headers)

    def sign_in(self, client: str = "testclient", **form: Any) -> dict[str, Any]:
        """The tokens of a new sign-in: by password where the client has that grant, else by code."""
        if client == "testclient":
            answer = self.token(client, grant_type="password", username="test", password="test", **form)
        else:
            answer = self.redeem(client, self.code(client, **form))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def refresh(self, client: str, refresh_token: str, **form: Any) -> httpx.Response:
        return self.token(client, grant_type="refresh_token", refresh_token=refresh_token, **form)

    def refreshed(self, client: str, refresh_token: str, **form: Any) -> dict[str, Any]:
        answer = self.refresh(client, refresh_token, **form)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def code(
        self, client: str = "app", scope: str = "read write", resource: tuple[str, ...] = (API,), **change: Any
    ) -> str:
        """An authorization code as the authorization endpoint seals it; `change` alters the pending authorization."""
        user = self.user("test")
        now = self.clock.now()
        registered = self.thread.call(self.store.client(client))
        authorization = Authorization(
            ClientId(client),
            user.subject,
            tuple(scope.split()),
            tuple(resource),
            now,
            auth_time=now,
            amr=("pwd",),
            epochs=Epochs(user.epoch, registered.epoch if registered else 0),
        )
        pending = PendingAuthorization(
            self.house.issuing.new_key(user.subject),
            authorization,
            Instant(now + CODE_LIFE),
            redirect_uri=REDIRECT_URI,
            code_challenge=code_challenge_s256(VERIFIER),
        )
        return sealed_code(self.house.handles, msgspec.structs.replace(pending, **change))

    def redeem(self, client: str, code: str, **form: Any) -> httpx.Response:
        fields = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER} | form
        present = {name: value for name, value in fields.items() if value is not None}
        return self.token(client, grant_type="authorization_code", code=code, **present)

    def redeem_as(self, client: str, code: str, **form: Any) -> httpx.Response:
        """As a confidential client that a test added to the cast."""
        fields = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER} | form
        present = {name: value for name, value in fields.items() if value is not None}
        content = {"grant_type": "authorization_code", "code": code, **present}
        return self.http.post("/oauth/token", data=content, auth=(client, SECRET))

    def introspect(self, token: str, client: str = "testclient") -> dict[str, Any]:
        answer = self.post("/oauth/introspect", client, token=token)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def revoke(self, token: str, client: str = "testclient", **form: Any) -> httpx.Response:
        return self.post("/oauth/revoke", client, token=token, **form)

    def secret(self, access_token: str, path: str = "/secret") -> httpx.Response:
        return self.api.get(path, headers={"Authorization": f"Bearer {access_token}"})

    @staticmethod
    def password_of(username: str) -> str:
        return PEOPLE[username]

    def user(self, name: str) -> User:
        found: User | None = self.thread.call(self.house.outside.directory.user_by_name(name))
        assert found is not None
        return found

    def family(self, refresh_token: str, client: str = "testclient") -> Family:
        """The stored family of a refresh token."""
        handle = self.house.handles.open_refresh(refresh_token, client)
        assert handle is not None
        found = self.thread.call(self.store.family(handle.key))
        assert found is not None
        family: Family = found.family
        return family

    def statements(self) -> Any:
        """How many statements the store has carried out so far, by kind.

        For the next minute it does not ask whether another process registered anything: there is none, and what it
        would read anew is not what is counted.
        """
        if isinstance(self.store, SqlStore):
            self.store._fresh_until = self.store._loop.time() + 60
        return copy.copy(self.store.counters)

    def at_once(self, ways: int, ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
        """The answers to requests that are all under way together."""
        with ThreadPoolExecutor(ways) as pool:
            return list(pool.map(ask, range(ways)))

    def apply(self, *parts: Part) -> None:
        self.thread.call(self.store.apply(Changes(parts)))


PEOPLE = {"test": "test", "ada": "lovelace"}
CONFIDENTIAL = ("testclient", "web", "other", "machine", "demo-api")


def client(name: str, kind: ClientKind, keys: Keys, **more: Any) -> Client:
    public = KINDS[kind].public
    method: AuthMethod = "none" if public else "client_secret_basic"
    secrets = () if public else (secret_digest(SECRET, keys, START),)
    fields: dict[str, Any] = {
        "grant_types": DEFAULT_GRANTS[kind],
        "redirect_uris": (REDIRECT_URI,) if kind != "machine" else (),
        "post_logout_redirect_uris": (RETURN_URI,) if kind != "machine" else (),
        "web_origins": (ORIGIN,) if kind == "browser" else (),
        "scope": tuple(SCOPES),
        "default_audience": API,
    }
    return Client(
        ClientId(name), kind, START, token_endpoint_auth_method=method, secrets=secrets, **(fields | more)
    )  # fmt: skip


def cast(keys: Keys) -> Iterator[Part]:
    strict = Overrides(rotating=True, overlap=0)
    yield InsertClient(client("testclient", "web", keys, grant_types=("password", "refresh_token"), overrides=strict))
    yield InsertClient(client("other", "web", keys, overrides=strict))
    yield InsertClient(client("web", "web", keys))
    yield InsertClient(client("app", "native", keys))
    yield InsertClient(client("cli", "cli", keys))
    yield InsertClient(client("spa", "browser", keys))
    yield InsertClient(client("machine", "machine", keys, scope=("read",)))
    yield InsertClient(client("demo-api", "machine", keys, scope=(), default_audience=None))
    opaque: dict[str, Any] = {"token_format": "opaque", "introspected_by": ("demo-api",)}
    yield InsertApi(Api(API, START, "Demo API", SCOPES))
    yield InsertApi(Api(REPORTS, START, "Reports", {"read": "Read", "reports": "See reports"}))
    yield InsertApi(Api(VAULT, START, "Vault", SCOPES, **opaque))


STORE: Final = os.environ.get("TESTS_STORE", "sqlite")


Opening = Callable[[], Awaitable[Any]]


def on_sqlite(folder: Path, **options: Any) -> Opening:
    """How the SQLite store of this folder is opened, with options of `SqliteStore.open`."""
    return lambda: SqliteStore.open(folder / "detent.db", **options)


def _make(path: Path) -> None:
    """A new store as the migrations leave it: to carry them out is most of a first start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(_migrated())
    with closing(apsw.Connection(str(path))) as db:
        db.execute("UPDATE installation SET store_id = lower(hex(randomblob(16)))")


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "detent.db"
        open_connection(path).close()
        return path.read_bytes()


async def _opened_store(kind: str | Opening, folder: Path) -> Any:
    """The store of this folder, whichever time it is opened."""
    if not isinstance(kind, str):
        return await kind()
    if kind == "memory":
        return MemoryStore()
    if kind == "sqlite":
        if not (folder / "detent.db").exists():
            _make(folder / "detent.db")
        return await on_sqlite(folder)()
    return await PostgresStore.open(pooled_database_of(folder) if kind == "pgbouncer" else database_of(folder))


@contextmanager
def running(
    folder: Path,
    keys_folder: Path,
    store: str | Opening | None = None,
    *,
    password_grant: bool = True,
    store_behind: Ahead = "refuse",
    clock: ManualClock | None = None,
    session_policy: SessionPolicy = SessionPolicy(),
    allowances: Allowances = Allowances(),
    proxies: int = 0,
    public: str | None = None,
    at: Loopback | None = None,
    status_list_ttl: Seconds | None = DEFAULT_TTL,
    passwords: Passwords | None = None,
    outbound: Outbound | None = None,
    kek: Path | None = None,
    more: MoreFeatures = no_more,
    **settings: Any,
) -> Iterator[Detent]:
    """A house with the whole cast, served until the block ends; opened again on its folder and clock, it goes on.

    With `kek`, the file of a key-encryption key, the keys are in the store. `store` is a kind, or how to open
    one. `public` is an issuer as behind a proxy; the demo API, which fetches its keys, needs the real one. `settings`
    are further ones of `House`.
    """
    clock, sink = clock or ManualClock(START), ListSink()
    issuer, api = at or Loopback(), Loopback()
    with ServerThread() as thread:
        opened: Any = thread.call(_opened_store(store or STORE, folder))
        if hasattr(opened, "close"):
            thread.at_exit(opened.close)
        keys: FileKeys | DatabaseKeys = (
            thread.call(DatabaseKeys.open(opened, opened, Keks(kek), clock))
            if kek
            else FileKeys.open(keys_folder, clock)
        )
        passwords = passwords or Passwords(CHEAP)
        outside = Outside(opened, opened, keys, clock, SystemEntropy(), sink, passwords)
        built = House(
            outside,
            issuer=public or issuer.url,
            password_grant=password_grant,
            store_behind=store_behind,
            session_policy=session_policy,
            allowances=allowances,
            proxies=proxies,
            status_list_ttl=status_list_ttl,
            outbound=outbound,
            more=more,
            **settings,
        )
        if thread.call(opened.client("testclient")) is None:
            thread.call(opened.apply(Changes(tuple(cast(keys)))))
            person = {"name": "Test Person", "email": "test@example.com", "picture": "https://example.com/test.png"}
            thread.call(built.people.add("test", "test", person))
            thread.call(built.people.add("ada", "lovelace", {"name": "Ada Lovelace", "email": "ada@example.com"}))
        thread.serve(built.asgi, issuer)
        demo = demo_api(
            issuer.url, API, VAULT, ("demo-api", SECRET), reached_at=(api.url.rstrip("/"),), clock=clock.now
        )
        thread.serve(demo, api)
        guards: dict[str, Any] = {route.path: route.endpoint for route in demo.routes if isinstance(route, Route)}
        detent = Detent(thread, built, clock, sink, api.url, guards, issuer.url)
        try:
            yield detent
        finally:
            detent.http.close()
            detent.api.close()
            passwords.close()
