"""The embedded store: one SQLite file, safe to open from several processes.

Owns: the file and its pragmas, its schema's steps, sharing one commit among the requests of a loop tick.
Leaves: SQL text and rows to stores/. Rule: answered means on the disk (WAL, synchronous=EXTRA).
"""

from detent.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
