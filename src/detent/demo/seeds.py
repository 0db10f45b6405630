"""Puts the cast of development mode into a store, and recognises a store that has it.

Seeding twice adds what is missing, the origins that the demo apps have today above all, and changes nothing that a
person chose. Generated secrets are kept in a file of mode 0600 in the data directory, so that every start can show
them. Production refuses such a directory (mission A9).
"""

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from detent.admin.registrations import ClientFields, Registrations, chosen
from detent.client_auth.secret import is_secret_of, new_secret
from detent.core.client import LOOPBACK_HOSTS, Client
from detent.core.errors import StoreUnavailable
from detent.core.policy import KINDS
from detent.demo.cast import APIS, CLIENTS, INTROSPECTING, PUBLISHED, USERS, USUAL, Apps, fields_at
from detent.identity.passwords import new_password
from detent.identity.people import People
from detent.ports import Directory, Entropy

SECRETS_FILE: Final = "development.json"

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


async def seed(
    secrets: Secrets, directory: Directory, registrations: Registrations, people: People, apps: Apps = USUAL
) -> Seeds:
    """Add what is missing."""
    for identifier, fields in APIS.items():
        if await registrations.store.api(identifier) is None:
            await registrations.add_api(identifier, fields)
    clients = [await _client(registrations, name, secrets.get(name), apps) for name in CLIENTS]
    users = [await _user(directory, people, name, secrets[name], claims) for name, claims in USERS.items()]
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
    if await people.named("test") and await people.verify("test", PUBLISHED["test"]):  # a check takes its time
        traces.append("its user test has the password `test`")
    return tuple(traces)


async def _client(registrations: Registrations, name: str, secret: str | None, apps: Apps) -> tuple[Client, str | None]:
    here = fields_at(name, apps)
    client = await registrations.store.client(name)
    if client is None:
        kind, fields = CLIENTS[name]
        fields = replace(fields, **chosen(here))
        return await registrations.add_client(kind, fields, client_id=name, client_secret=secret)
    client = await registrations.update_client(name, _missing(client, here))
    good = secret and is_secret_of(client, secret, registrations.keys, registrations.clock.now())
    return client, secret if good else None


def _missing(client: Client, here: ClientFields) -> ClientFields:
    """Lists grow by what they lack; an address of the demo app's own moves with it."""
    missing: dict[str, Any] = {}
    for name, wanted in chosen(here).items():
        present = getattr(client, name)
        if isinstance(wanted, tuple):
            missing[name] = (*present, *(each for each in wanted if each not in present))
        elif _moved(present, wanted):
            missing[name] = wanted
    return ClientFields(**missing)


def _moved(present: str, wanted: str) -> bool:
    was, will = urlsplit(present), urlsplit(wanted)
    return was.hostname in LOOPBACK_HOSTS and (was.path, was.fragment) == (will.path, will.fragment)


async def _user(
    directory: Directory, people: People, name: str, password: str, claims: dict[str, Any]
) -> tuple[str, str | None]:
    if await directory.user_by_name(name) is None:
        await people.add(name, password, claims)
        return name, password
    return name, password if await people.verify(name, password) else None


def _keep(path: Path, secrets: Secrets) -> None:
    """Whole or not at all, and for nobody else to read."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(secrets)))
    os.replace(fresh, path)
