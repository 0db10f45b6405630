"""Opens a data directory and what an operator's command needs of it; the same for the servers.

In the directory: `detent.db`, if the store is not in PostgreSQL, `keys/`, if they are not in the store, and
`detent.toml` if there is one. Where settings come from is settings/.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from detent.admin.families import Families
from detent.admin.webhooks import Webhooks
from detent.app import House, Outside
from detent.audit.chain import Chain
from detent.cli.identity import Keyring, opened_keys
from detent.core.errors import StoreUnavailable
from detent.core.ids import Seconds
from detent.core.policy import MINUTE
from detent.core.session import SessionPolicy
from detent.demo.seeds import SECRETS_FILE
from detent.identity.passwords import Passwords
from detent.identity.throttle import Allowance, Allowances
from detent.profiles import PROFILES
from detent.settings.declared import Settings
from detent.settings.fitness import outbound_networks, software_statement_issuers
from detent.sinks.log import LogSink
from detent.stores.sql_store import SqlStore
from detent.stores.sqlite import SqliteStore
from detent.stores.sqlite.reserve import RESERVE
from detent.system import SystemClock, SystemEntropy
from detent.web.outbound import LOOPBACK, Outbound
from detent.webhooks.courier import Courier

STORE_FILE: Final = "detent.db"
_NOWHERE: Final = "http://127.0.0.1/"


class Office:
    """An opened data directory. `house` is built on it, whether or not anybody serves it."""

    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        store: SqlStore,
        clock: SystemClock,
        keys: Keyring,
        house: House,
        outbound: Outbound,
    ) -> None:
        self.settings = settings
        self.outside = outside
        self.clock = clock
        self.keys = keys
        self.house = house
        self.people = house.people
        self.directory = outside.directory
        self.store = store
        self.registrations = house.registrations
        self.initial_tokens = house.initial_tokens
        ports = (outside.store, outside.directory, outside.keys, outside.clock, outside.entropy)
        self.chain = Chain(*ports)
        self.webhooks = Webhooks(*ports)
        self.courier = Courier(*ports, outbound)
        self.families = Families(house.issuing, house.access, house.ending, outside.directory, outside.clock)


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    issuer: str = _NOWHERE,
    password_grant: bool = True,
    create: bool = False,
    adopting: bool = False,
    trusted: tuple[Path, ...] = (),
) -> AsyncIterator[Office]:
    """Raises StoreUnavailable or KeysError with what to do; without `create`, also where nothing is there yet.

    An operator may give a client the grant `password` whether or not the server offers it now. `adopting`: whatever
    keys the settings name. `trusted` are files of authorities, beside those of the settings.
    """
    clock = SystemClock()
    store = await opened_store(settings, create=create)
    passwords = Passwords()
    try:
        keys = await opened_keys(settings, store, clock, adopting=adopting)
        outside = Outside(store, store, keys, clock, SystemEntropy(), LogSink(), passwords)
        development = LOOPBACK if (settings.data / SECRETS_FILE).exists() else ()
        authorities = (*((settings.extra_ca,) if settings.extra_ca else ()), *trusted)
        outbound = Outbound((*outbound_networks(settings), *development), authorities=authorities)
        house = House(
            outside,
            issuer=issuer,
            password_grant=password_grant,
            store_behind=settings.store_behind,
            session_policy=SessionPolicy(Seconds(settings.session_idle), Seconds(settings.session_absolute)),
            allowances=Allowances(Allowance(settings.sign_in_failures, Seconds(15 * MINUTE))),
            sign_up=settings.sign_up,
            proxies=settings.proxies,
            status_list_ttl=Seconds(settings.status_list_ttl) if settings.status_lists else None,
            outbound=outbound,
            request_uri=settings.request_uri,
            client_id_metadata_documents=settings.client_id_metadata_documents,
            registering=settings.registration,
            registration_scopes=tuple(settings.registration_scopes.split()),
            registration_pkce=settings.registration_pkce,
            registration_nonce=settings.registration_nonce,
            software_statement_issuers=software_statement_issuers(settings),
            node=settings.node_name or socket.gethostname(),
            profile=PROFILES[settings.profile],
        )
        yield Office(settings, outside, store, clock, keys, house, outbound)
    finally:
        passwords.close()
        await store.close()


async def opened_store(settings: Settings, *, create: bool = False) -> SqlStore:
    """Raises StoreUnavailable, as `opened` does."""
    if not create and not settings.store and not (settings.data / STORE_FILE).exists():
        raise StoreUnavailable(
            f"There is no store in {settings.data.absolute()} ({settings.source('data')}). Name its directory with "
            "--data, or start one: `detent up` to try it, `detent serve` for production."
        )
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.store:
        return await SqliteStore.open(settings.data / STORE_FILE, reserve=RESERVE if create else 0)
    try:
        from detent.stores.postgres import PostgresStore
    except ImportError:
        raise StoreUnavailable("PostgreSQL needs its driver: install detent[postgres].") from None
    return await PostgresStore.open(
        settings.store, replicated=settings.store_replicated, connections=settings.store_connections
    )
