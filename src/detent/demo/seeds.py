"""The people, clients and APIs of development mode, and how a store that has them is recognised.

Seeding twice changes nothing: what is there stays as it is, and generated secrets are kept in a file of mode 0600 in
the data directory, so that every start can show them. Production refuses such a directory (mission A9).
"""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from detent.admin.registrations import ApiFields, ClientFields, Registrations
from detent.client_auth.secret import is_secret_of, new_secret
from detent.core.client import Client
from detent.core.errors import StoreUnavailable
from detent.core.policy import KINDS, ClientKind
from detent.identity.passwords import new_password
from detent.identity.people import People
from detent.ports import Directory, Entropy

SECRETS_FILE: Final = "development.json"
DEMO_API, REPORTS, VAULT = (f"https://{name}.example/" for name in ("demo-api", "reports", "vault"))

APIS: Final[dict[str, ApiFields]] = {
    DEMO_API: ApiFields(name="Demo API", scopes={"read": "Read", "write": "Write"}),
    REPORTS: ApiFields(name="Reports", scopes={"reports": "See reports"}),
    VAULT: ApiFields(
        name="Vault, with opaque tokens",
        scopes={"vault": "Open the vault"},
        token_format="opaque",
        introspected_by=("demo-api",),
    ),
}

_ALL: Final = ("read", "write", "reports", "vault")
CLIENTS: Final[dict[str, tuple[ClientKind, ClientFields]]] = {
    "testclient": (
        "web",
        ClientFields(
            client_name="Walk-through",
            grant_types=("password", "refresh_token"),
            scope=_ALL,
            default_audience=DEMO_API,
            rotating=True,
            overlap=0,
        ),
    ),
    "demo-browser": (
        "browser",
        ClientFields(
            client_name="Demo browser app",
            redirect_uris=("http://127.0.0.1:3000/callback", "http://localhost:3000/callback"),
            web_origins=("http://127.0.0.1:3000", "http://localhost:3000"),
            scope=_ALL,
            default_audience=DEMO_API,
        ),
    ),
    "demo-web": (
        "web",
        ClientFields(
            client_name="Demo web app",
            redirect_uris=("http://127.0.0.1:3001/callback", "http://localhost:3001/callback"),
            scope=_ALL,
            default_audience=DEMO_API,
        ),
    ),
    "demo-machine": (
        "machine",
        ClientFields(client_name="Demo machine", scope=("read",), default_audience=DEMO_API),
    ),
    "demo-api": ("machine", ClientFields(client_name="The demo API itself, to introspect")),
}
INTROSPECTING: Final = "demo-api"

USERS: Final[dict[str, dict[str, Any]]] = {
    "test": {"name": "Test Person", "email": "test@example.com", "picture": "https://example.com/test.png"},
    "ada": {"name": "Ada Lovelace", "email": "ada@example.com", "picture": "https://example.com/ada.png"},
}
PUBLISHED: Final = {"testclient": "secret", "test": "test"}


Secrets = dict[str, str]


class Seeds(msgspec.Struct, frozen=True):
    """What stands after seeding, each with its secret; None where it has none, or was given another since."""

    clients: tuple[tuple[Client, str | None], ...]
    users: tuple[tuple[str, str | None], ...]
    introspection: tuple[str, str]

    def __repr__(self) -> str:
        return f"Seeds({len(self.clients)} clients, {len(self.users)} users, ***)"


def development_secrets(folder: Path, entropy: Entropy) -> Secrets:
    """The secret of everything that has one: published, kept from an earlier start, or made and kept now.

    Asked for before anything else is in the data directory, its file tells a trial from production.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / SECRETS_FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Secrets) if path.exists() else {}
    except msgspec.MsgspecError:
        raise StoreUnavailable(
            f"{path} is damaged. Delete the directory {folder}: it holds seeds and trials."
        ) from None
    confidential = [name for name, (kind, _) in CLIENTS.items() if not KINDS[kind].public]
    fresh = {name: new_secret(entropy) for name in confidential if name not in kept | PUBLISHED}
    fresh |= {name: new_password(entropy) for name in USERS if name not in kept | PUBLISHED}
    if fresh:
        _keep(path, kept | fresh)
    return kept | fresh | PUBLISHED


async def seed(secrets: Secrets, directory: Directory, registrations: Registrations, people: People) -> Seeds:
    """Add what is missing."""
    for identifier, fields in APIS.items():
        if await registrations.store.api(identifier) is None:
            await registrations.add_api(identifier, fields)
    clients = [await _client(registrations, name, secrets.get(name)) for name in CLIENTS]
    users = [await _user(directory, people, name, secrets[name]) for name in USERS]
    shown = tuple(pair for pair in clients if pair[0].client_id != INTROSPECTING)
    return Seeds(shown, tuple(users), (INTROSPECTING, secrets[INTROSPECTING]))


async def traces_of_seeds(folder: Path, registrations: Registrations, people: People) -> tuple[str, ...]:
    """What shows that this data directory was seeded, in words; empty for one that never was."""
    traces = []
    if (folder / SECRETS_FILE).exists():
        traces.append(f"it holds {SECRETS_FILE}")
    client = await registrations.store.client("testclient")
    if is_secret_of(client, PUBLISHED["testclient"], registrations.keys, registrations.clock.now()):
        traces.append("its client testclient has the secret `secret`")
    if await people.verify("test", PUBLISHED["test"]):
        traces.append("its user test has the password `test`")
    return tuple(traces)


async def _client(registrations: Registrations, name: str, secret: str | None) -> tuple[Client, str | None]:
    client = await registrations.store.client(name)
    if client is None:
        kind, fields = CLIENTS[name]
        return await registrations.add_client(kind, fields, client_id=name, client_secret=secret)
    good = secret and is_secret_of(client, secret, registrations.keys, registrations.clock.now())
    return client, secret if good else None


async def _user(directory: Directory, people: People, name: str, password: str) -> tuple[str, str | None]:
    if await directory.user_by_name(name) is None:
        await people.add(name, password, USERS[name])
        return name, password
    return name, password if await people.verify(name, password) else None


def _keep(path: Path, secrets: Secrets) -> None:
    """Whole or not at all, and for nobody else to read."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(secrets)))
    os.replace(fresh, path)
