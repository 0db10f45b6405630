"""The store of many nodes: one PostgreSQL primary, any number of `detent serve` processes.

Owns: connections and what they must promise, its dialect of the schema, when an outcome is unknown.
Leaves: SQL text, rows and what is remembered to stores/. Rule: answered means that the commit was acknowledged, by
every synchronous standby where there are some; whatever else happens is `StoreUnavailable`, never a guess.
"""

from detent.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
