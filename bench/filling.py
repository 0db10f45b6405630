"""Families that nobody refreshes, put among those that are: a store as large as it is to be, in minutes.

Each is a copy of one that the server made, under a key, a subject and a seed of its own, in the order of no index. The
ones that are refreshed stand as far apart in the table as if all had been made one after the other.
"""

import sys
from pathlib import Path
from typing import Final

import apsw

_AT_ONCE: Final = 500_000
_OWN: Final = {
    "placement": "abs(random()) % 65536",
    "id": "randomblob(16)",
    "subject": "'person-' || place",
    "seed": "randomblob(32)",
}


def fill(file: Path, families: int) -> None:
    """Until there are this many. Nothing of it need last, so nothing waits for the disk."""
    db = apsw.Connection(str(file))
    db.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000")
    [(made,)] = db.execute("SELECT count(*) FROM family").fetchall()
    apart, columns = families // int(str(made)), [str(row[1]) for row in db.execute("PRAGMA table_info(family)")]
    db.execute("UPDATE family SET rowid = -rowid")
    db.execute("UPDATE family SET rowid = -rowid * ?", (apart,))
    values = ", ".join(_OWN.get(column, f"one.{column}") for column in columns)
    text = (
        f"INSERT INTO family (rowid, {', '.join(columns)}) "  # noqa: S608
        "WITH RECURSIVE places (place) AS (SELECT ?1 UNION ALL SELECT place + 1 FROM places WHERE place < ?2) "
        f"SELECT place, {values} FROM places, (SELECT * FROM family LIMIT 1) AS one WHERE place % ?3"
    )
    for first in range(1, families, _AT_ONCE):
        last = min(first + _AT_ONCE, families) - 1
        db.execute(text, (first, last, apart))
        print(f"{last:,} families", file=sys.stderr)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
