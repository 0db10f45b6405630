"""How the database is reached: what a connection must be and promise before anything is read or written through it.

Autocommit and never prepared: one round trip, and safe behind every pooler in transaction mode, where a prepared
statement may be another client's (https://www.pgbouncer.org/features.html). Nothing is set on a connection, since a
pooler would hand the setting to somebody else: what must hold is the role's or the database's, and is checked.
Every refusal is `StoreUnavailable` with a sentence for the operator.
"""

import asyncio
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from detent.core.errors import StoreUnavailable

OLDEST_SERVER: Final = 150000
DURABLE: Final = ("on", "remote_apply")  # `local` and `off` acknowledge what a failover or a power cut undoes
_CONNECT_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 0.5
_TRIAL_SECONDS: Final = 10
_TURNS: Final = 6  # psycopg would prepare at the fifth

Connection = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]

# Only the primary: a standby answers from the past. The rest lets a dead peer be noticed, whatever the network says.
_DEFAULTS: Final = {
    "target_session_attrs": "read-write",
    "connect_timeout": str(_CONNECT_SECONDS),
    "application_name": "detent",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",  # milliseconds
}


def address(conninfo: str) -> str:
    """`conninfo` is a libpq string or URI and wins over the defaults. Raises StoreUnavailable."""
    try:
        return make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(conninfo)})
    except psycopg.ProgrammingError as error:
        raise StoreUnavailable(
            "The PostgreSQL address cannot be read: it is a libpq URI or key=value string."
        ) from error


def new_pool(conninfo: str, *, connections: int, waiting: int, patience: float) -> Pool:
    """A closed pool. Raises StoreUnavailable."""
    return AsyncConnectionPool(
        address(conninfo),
        connection_class=Connection,
        kwargs={"autocommit": True, "prepare_threshold": None, "cursor_factory": AsyncRawCursor},
        min_size=1,
        max_size=connections,
        max_waiting=waiting,
        timeout=patience,
        reconnect_timeout=_PAUSE_SECONDS,
        reconnect_failed=Pool.check,  # begins anew: pauses that double would outlast the outage, and to give up
        # would leave those who wait without a connection until somebody else asks for one
        name="detent",
        open=False,
    )


async def check_server(connection: Connection, *, replicated: bool) -> None:
    """Refuse a server that would lose what it acknowledged. `replicated`: it must have synchronous standbys."""
    if connection.info.server_version < OLDEST_SERVER:
        raise StoreUnavailable(
            f"PostgreSQL {connection.info.server_version // 10000} is too old: 15 or newer is needed."
        )
    cursor = await connection.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'), "
        "current_setting('full_page_writes'), current_setting('synchronous_standby_names'), pg_is_in_recovery()"
    )
    commit, fsync, pages, standbys, standby = await cursor.fetchone() or ("", "", "", "", True)
    if standby:
        raise StoreUnavailable("This PostgreSQL is a standby. Name the primary, or all hosts, in the address.")
    if commit not in DURABLE:
        raise StoreUnavailable(
            f"synchronous_commit is {commit}: an acknowledged rotation could be lost. Set it to on for detent's role."
        )
    if fsync != "on" or pages != "on":
        raise StoreUnavailable("fsync and full_page_writes must be on: without them a power cut damages the database.")
    if replicated and not standbys:
        raise StoreUnavailable(
            "synchronous_standby_names is empty: after a failover to an asynchronous standby, tokens that were "
            "used come back to life. Name the synchronous standbys, or switch replication off for one server."
        )


async def check_pooler(pool: Pool) -> None:
    """Refuse a pooler that gives two connections each other's statements, or that knows no transactions.

    Both are used in turn, in transactions and without, as often as it takes a driver to prepare what it is asked.
    """
    try:
        async with asyncio.timeout(_TRIAL_SECONDS), pool.connection() as one, pool.connection() as other:
            for turn in range(_TURNS):
                for connection, statement, expected in ((one, "$1::int4", turn), (other, "-$1::int4", -turn)):
                    async with connection.transaction():
                        await _asked(connection, statement, turn, expected)
                    await _asked(connection, statement, turn, expected)
    except (psycopg.Error, PoolTimeout, TimeoutError) as error:
        why = str(error) or f"no answer within {_TRIAL_SECONDS} s"
        raise StoreUnavailable(
            f"Two connections to PostgreSQL that are used in turn do not work ({why}). A pooler on the way must be "
            "in transaction or session mode, with two connections for each node at least."
        ) from error


async def _asked(connection: Connection, statement: str, value: int, expected: int) -> None:
    cursor = await connection.execute(f"SELECT {statement}", (value,))
    if await cursor.fetchone() != (expected,):
        raise psycopg.InternalError("one got the other's answer")
