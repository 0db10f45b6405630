"""How the schema of a database gets from its number to ours: numbered SQL files, each in one transaction.

Restartable at every step: a file is carried out and noted, or neither. Nodes that start at once take turns by a lock
of the transaction, which every pooler leaves alone. A database of a newer release is refused.
"""

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from detent.core.errors import StoreUnavailable
from detent.stores.migrations import Migration
from detent.stores.postgres.connection import Connection

_LOCK: Final = 0x646574656E74  # "detent"
_NOTES: Final = "CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL)"


async def migrate(connection: Connection, known: Sequence[Migration]) -> None:
    """Carry out what is missing. Raises StoreUnavailable for what is not known here."""
    for migration in known:
        if await schema_number(connection, known) >= migration.number:
            continue
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            if await schema_number(connection, known) >= migration.number:  # another node was faster
                continue
            await connection.execute(_NOTES)
            await connection.execute(sql.SQL(migration.text))
            noted = "INSERT INTO migration (number, name) VALUES ($1, $2)"
            await connection.execute(noted, (migration.number, migration.name))


async def schema_number(connection: Connection, known: Sequence[Migration]) -> int:
    """Which migration the database has last; 0 for an empty one. Raises StoreUnavailable like `migrate`."""
    cursor = await connection.execute(
        "SELECT to_regclass('migration') IS NOT NULL, count(*) FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace"
    )
    noted, tables = await cursor.fetchone() or (False, 0)
    if not noted:
        if tables:
            raise StoreUnavailable("This database holds something else. Give detent a database of its own.")
        return 0
    cursor = await connection.execute("SELECT coalesce(max(number), 0) FROM migration")
    [(number,)] = await cursor.fetchall()
    if number > known[-1].number:
        raise StoreUnavailable(
            f"The database was written by a newer release of detent (schema {number}; this release knows "
            f"{known[-1].number}). Start the newer release."
        )
    return int(number)
