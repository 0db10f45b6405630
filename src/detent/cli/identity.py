"""Which installation a process belongs to: all that share a store share one issuer and one set of keys.

The store remembers both; who comes with others is refused before it makes, signs or seals anything (attack L10). Keys
in a directory are known by the `kid`s of their RS256 keys, of which one at least is always a known one. `detent adopt`
says that a change is meant.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from detent.core.changes import Identify, Identity, changed
from detent.core.errors import Conflict
from detent.keys.database import DatabaseKeys
from detent.keys.file import FileKeys
from detent.keys.kek import Keks
from detent.keys.ring import KeysError
from detent.ports import Clock, Store
from detent.settings.declared import Problem, Settings, SettingsError
from detent.stores.sql_store import SqlStore

KEYS_FOLDER: Final = "keys"
IN_STORE: Final = "store"
_VOID: Final = "If the change is meant, and what was signed and sealed before may be void: `detent adopt`."

Keyring = FileKeys | DatabaseKeys


async def opened_keys(settings: Settings, store: SqlStore, clock: Clock, *, adopting: bool = False) -> Keyring:
    """The keys that the settings name. Raises KeysError where they are not those of this installation."""
    known = (await store.installation()).identity.keys
    if not adopting and (refusal := _other_keys(settings, known)):
        raise KeysError(refusal)
    keys: Keyring
    if settings.keys == "store":
        keys = await DatabaseKeys.open(store, store, Keks(settings.key_encryption_key), clock)
    else:
        keys = FileKeys.open(settings.data / KEYS_FOLDER, clock)
    if not adopting:
        await note_keys(settings, store)
    return keys


async def note_keys(settings: Settings, store: Store, *, rotated: bool = False) -> None:
    """Remember which keys these are. Raises KeysError if another set was remembered meanwhile, unless `rotated`."""
    while (identity := (await store.installation()).identity).keys != (ours := _key_set(settings)):
        if not rotated and (refusal := _other_keys(settings, identity.keys)):
            raise KeysError(refusal)
        with suppress(Conflict):
            await store.apply(changed(Identify(replace(identity, keys=ours), identity)))


async def join(settings: Settings, store: Store) -> None:
    """Raises SettingsError where the installation has another issuer."""
    while (identity := (await store.installation()).identity).issuer != settings.issuer:
        if identity.issuer:
            told = (
                f"{settings.issuer} is not the issuer of this installation: its store has been served as "
                f"{identity.issuer}, which every token names. Set that one. {_VOID}"
            )
            raise SettingsError(Problem("issuer", settings.source("issuer"), told))
        with suppress(Conflict):
            await store.apply(changed(Identify(replace(identity, issuer=settings.issuer), identity)))


async def adopt(settings: Settings, store: Store) -> Identity:
    """The issuer and the keys of these settings are the installation's from now on."""
    before = (await store.installation()).identity
    after = Identity(settings.issuer or before.issuer, _key_set(settings))
    await store.apply(changed(Identify(after, before)))
    return after


async def bring_in(settings: Settings, store: SqlStore, clock: Clock) -> int:
    """Put the keys of the directory into the store; how many. Raises KeysError."""
    folder, identity = settings.data / KEYS_FOLDER, (await store.installation()).identity
    if refusal := _other_keys(replace(settings, keys="directory"), identity.keys):
        raise KeysError(refusal)
    if not _kids_in(folder):
        raise KeysError(f"There are no keys in {folder} to bring into the store.")
    keys = FileKeys.open(folder, clock).stored()
    moved = Identify(replace(identity, keys=IN_STORE), identity)
    await DatabaseKeys.bring(store, store, Keks(settings.key_encryption_key), clock, keys, moved)
    return len(keys)


def _key_set(settings: Settings) -> str:
    return IN_STORE if settings.keys == "store" else " ".join(sorted(_kids_in(settings.data / KEYS_FOLDER)))


def _kids_in(folder: Path) -> frozenset[str]:
    return frozenset(path.name.split(".")[1] for path in folder.glob("RS256.*.json"))


def _other_keys(settings: Settings, known: str) -> str:
    """Why the keys that the settings name are not those of the installation; empty if they are."""
    folder, source = settings.data / KEYS_FOLDER, settings.source("keys")
    here = _kids_in(folder)
    if settings.keys == "store" and known != IN_STORE and (known or here):
        where = folder if here else f"a directory that is not here (kid {known})"
        return (
            f"keys is store ({source}), and this installation has its keys in {where}. Run `detent key import` where "
            f"they are: it brings them into the store, and every token stays good. {_VOID}"
        )
    if settings.keys == "directory" and known == IN_STORE:
        return (
            f'keys is directory ({source}), and this installation has its keys in the store. Set keys = "store", and '
            f"key_encryption_key as the other nodes have it. {_VOID}"
        )
    if settings.keys == "directory" and known and not here & set(known.split()):
        found = f"holds other ones (kid {' '.join(sorted(here))})" if here else "holds none"
        return (
            f"This installation signs with the keys of kid {known}, and {folder} {found}. Put the same keys there as "
            f'the other nodes have, or share them through the store: keys = "store". {_VOID}'
        )
    return ""
