"""What of a store moves to another database, and how both sides tell that nothing changed on the way.

The tables and columns are those of the schema itself, so a new one moves without being named here; only what does not
move is. A digest is the same in whatever order the rows come. Leaves: reading and writing to the backends.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from detent.core.errors import StoreUnavailable
from detent.core.rollback import Mark
from detent.stores.rows import Row, Value

Columns = Mapping[str, tuple[str, ...]]  # by table

NOT_MOVED: Final = {
    "migration": "each database has a schema of its own, and notes how it got it",
    "installation.moved": "says of a store that it is gone; its successor is at home",
}
ONLY_THERE: Final[dict[str, dict[str, Value]]] = {
    "installation": {"registrations": 0},  # counts changes for nodes that live on the same database
    "event": {"written_by": "0"},  # PostgreSQL's order of commits: before all that is written there, and by number
}
_MODULUS: Final = 1 << 256


class Gone(msgspec.Struct, frozen=True):
    """Where a store is gone. `replaced`: the name that the empty successor had before."""

    place: str
    replaced: str


class Part(msgspec.Struct, frozen=True):
    """A table and the columns of it that move; `constants` are those that only the new database has."""

    table: str
    columns: tuple[str, ...]
    constants: dict[str, Value]


class Digest(msgspec.Struct):
    """How many rows, and the sum of their hashes."""

    rows: int = 0
    total: int = 0

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.total += int.from_bytes(hashlib.blake2b(msgspec.msgpack.encode(row), digest_size=32).digest(), "big")
            self.rows += 1
            yield row

    @property
    def text(self) -> str:
        return f"{self.total % _MODULUS:064x}"


class Moved(msgspec.Struct, frozen=True):
    """`mark`: the store as it is at its new place."""

    mark: Mark
    place: str
    digests: dict[str, Digest]


def planned(here: Columns, there: Columns) -> list[Part]:
    """Raises StoreUnavailable where the two schemas differ in more than is known."""
    parts = []
    for table in sorted(here.keys() - NOT_MOVED.keys()):
        columns = tuple(name for name in here[table] if f"{table}.{name}" not in NOT_MOVED)
        constants = ONLY_THERE.get(table, {})
        stay = {name for name in here[table] if f"{table}.{name}" in NOT_MOVED}
        if set(there.get(table, ())) != {*columns, *constants, *stay}:
            raise StoreUnavailable(
                f"The table {table} differs between the two schemas: this release cannot move it. Please report it."
            )
        parts.append(Part(table, columns, constants))
    return parts
