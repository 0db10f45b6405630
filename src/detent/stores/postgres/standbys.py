"""Whether anybody confirms what is committed; while nobody does, nothing more is written.

A commit that waits for its standbys keeps its place on the server, whoever hangs up, and lets nobody see what they do
not have. So each more that nobody confirms is a connection less, for Patroni and for whoever comes to mend it, and an
app more that cannot know what became of its token. Commits are confirmed in their order: where one waits too long,
every later one would.
"""

from typing import Final

from detent.core.errors import StoreUnavailable
from detent.stores.postgres.connection import Connection

_WAITS: Final = (
    b"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database() "
    b"AND usename = current_user AND query_start < clock_timestamp() - $1::float8 * interval '1 second')"
)


class Standbys:
    """`patience`: seconds that a write waits for its answer. `suspected`: one had none; until then nothing is asked."""

    def __init__(self, *, patience: float) -> None:
        self._too_long = patience / 2  # the first of them may have begun a good while after its request
        self.suspected = False

    async def expected(self, connection: Connection) -> None:
        """Raises StoreUnavailable, before anything is written."""
        if not self.suspected:
            return
        cursor = await connection.execute(_WAITS, (self._too_long,))
        self.suspected = await cursor.fetchone() == (True,)
        if self.suspected:
            raise StoreUnavailable(
                "PostgreSQL waits for its standbys: nothing is written until they confirm what it has. "
                "See to the standbys, or to synchronous_standby_names."
            )
