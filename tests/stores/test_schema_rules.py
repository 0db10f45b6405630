"""Steps of the schema only add, so that nodes of the release before go on serving while a new one starts.

Held against what each step makes of a real database, so it does not matter how a step is written.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import apsw
import psycopg
import pytest

from detent.stores.migrations import Migration, known_migrations
from tests.postgres import Cluster, running_cluster

pytestmark = pytest.mark.slow
Dialect = Literal["sqlite", "postgres"]
Run = Callable[[str], list[Any]]
DIALECTS: Final[tuple[Dialect, ...]] = ("sqlite", "postgres")
# Indexes that went, without which the release before answers the same (docs/decisions/0048).
LIGHTER: Final = {
    "013_lighter.sql": ["takes away: DROP", *["takes away: ; DROP"] * 2, "the index family_of_session is gone"],
}
# A statement that takes away what is there, whatever the catalogue says after it: rows, or a name put back later.
_TAKES: Final = re.compile(r"(?:^|;|\bBEGIN\b|\bLOOP\b|\bTHEN\b|')\s*(DROP|DELETE|TRUNCATE|REPLACE)\b|\bRENAME\b", re.I)


class Column(NamedTuple):
    table: str
    name: str
    kind: str
    needed: bool  # who does not name it must have a default for it

    @property
    def place(self) -> tuple[str, str]:
        return self.table, self.name


class Schema(NamedTuple):
    columns: dict[tuple[str, str], Column]
    demands: set[tuple[str, str]]  # (table, what): keys, unique indexes, checks, foreign keys, triggers
    indexes: set[str]

    @property
    def tables(self) -> set[str]:
        return {table for table, _ in self.columns}


# ruff: noqa: S608  (built of names in this file)
_SQLITE_COLUMNS: Final = (
    'SELECT t.name, c.name, c.type, c."notnull" AND c.dflt_value IS NULL FROM sqlite_schema t, '
    "pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_SQLITE_DEMANDS: Final = (
    "SELECT t.name, 'unique ' || group_concat(c.name) FROM sqlite_schema t, pragma_index_list(t.name) i, "
    "pragma_index_info(i.name) c WHERE t.type = 'table' AND i.\"unique\" GROUP BY t.name, i.name "
    "UNION ALL SELECT tbl_name, 'trigger ' || name FROM sqlite_schema WHERE type = 'trigger' "
    "UNION ALL SELECT t.name, 'reference ' || f.\"from\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f "
    "WHERE t.type = 'table'"
)
_SQLITE_CHECKS: Final = "SELECT name, sql FROM sqlite_schema WHERE type = 'table'"
_SQLITE_INDEXES: Final = "SELECT name FROM sqlite_schema WHERE type = 'index'"
_OURS: Final = "c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
_POSTGRES_COLUMNS: Final = (
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), "
    "a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' FROM pg_class c JOIN pg_attribute a "
    f"ON a.attrelid = c.oid WHERE {_OURS} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped"
)
_POSTGRES_DEMANDS: Final = (
    "SELECT c.relname, pg_get_constraintdef(n.oid) FROM pg_class c JOIN pg_constraint n ON n.conrelid = c.oid "
    f"WHERE {_OURS} AND n.contype <> 'n' "
    "UNION ALL SELECT c.relname, 'unique ' || i.indexrelid::regclass FROM pg_class c "
    f"JOIN pg_index i ON i.indrelid = c.oid WHERE {_OURS} AND i.indisunique "
    "UNION ALL SELECT c.relname, 'trigger ' || g.tgname FROM pg_class c "
    f"JOIN pg_trigger g ON g.tgrelid = c.oid WHERE {_OURS}"
)
_POSTGRES_INDEXES: Final = f"SELECT c.relname FROM pg_class c WHERE {_OURS} AND c.relkind IN ('i', 'I')"


def schema(run: Run, dialect: Dialect) -> Schema:
    if dialect == "postgres":
        columns, demands, indexes = run(_POSTGRES_COLUMNS), run(_POSTGRES_DEMANDS), run(_POSTGRES_INDEXES)
    else:
        columns, demands, indexes = run(_SQLITE_COLUMNS), run(_SQLITE_DEMANDS), run(_SQLITE_INDEXES)
        checks = [(table, each) for table, text in run(_SQLITE_CHECKS) for each in re.findall(r"CHECK\s*\([^,]*", text)]
        demands = [*demands, *checks]
    found = [Column(table, name, kind, bool(needed)) for table, name, kind, needed in columns]
    return Schema({each.place: each for each in found}, set(demands), {name for (name,) in indexes})


def breaches(before: Schema, after: Schema, text: str) -> list[str]:
    """What the release before would stumble over."""
    plain = " ".join(re.sub(r"--[^\n]*", "", text).split())
    found = [f"takes away: {match[0].strip()}" for match in _TAKES.finditer(plain)]
    for place, column in before.columns.items():
        now = after.columns.get(place)
        if now is None:
            found.append(f"{'.'.join(place)} is gone")
        elif now.kind != column.kind:
            found.append(f"{'.'.join(place)} was {column.kind} and is {now.kind}")
        elif now.needed and not column.needed:
            found.append(f"{'.'.join(place)} is needed and was not")
    added = [each for place, each in after.columns.items() if place not in before.columns]
    found += [
        f"{each.table}.{each.name} is new and has no default"
        for each in added
        if each.table in before.tables and each.needed
    ]
    found += [
        f"{table} demands more: {what}" for table, what in after.demands - before.demands if table in before.tables
    ]
    return [*found, *(f"the index {name} is gone" for name in before.indexes - after.indexes)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@contextmanager
def a_database(dialect: Dialect, cluster: Cluster, folder: Path) -> Iterator[Run]:
    if dialect == "sqlite":
        with closing(apsw.Connection(str(folder / "one.db"))) as db:
            yield lambda text: db.execute(text).fetchall()
    else:
        with psycopg.connect(cluster.new_database(), autocommit=True) as connection:

            def run(text: str) -> list[Any]:
                cursor = connection.execute(text.encode())
                return cursor.fetchall() if cursor.description else []

            yield run


def held_to_the_rule(steps: list[Migration], run: Run, dialect: Dialect) -> dict[str, list[str]]:
    found, before = {}, schema(run, dialect)
    for step in steps:
        run(step.text)
        after = schema(run, dialect)
        if wrong := breaches(before, after, step.text):
            found[step.name] = wrong
        before = after
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_step_of_the_schema_only_adds(dialect: Dialect, cluster: Cluster, tmp_path: Path) -> None:
    with a_database(dialect, cluster, tmp_path) as run:
        assert held_to_the_rule(known_migrations(dialect), run, dialect) == LIGHTER
        assert {"family", "session", "installation"} <= schema(run, dialect).tables


BREACHES: Final = {
    "DROP TABLE webhook": "webhook.id is gone",
    "ALTER TABLE client DROP COLUMN enabled": "client.enabled is gone",
    "ALTER TABLE client RENAME COLUMN enabled TO active": "client.enabled is gone",
    "ALTER TABLE client RENAME TO app": "client.body is gone",
    "DROP INDEX family_by_end": "the index family_by_end is gone",
    "CREATE UNIQUE INDEX one_body ON client (body)": "client demands more",
    "DELETE FROM record": "takes away: DELETE",
    "UPDATE client SET version = 1; DELETE FROM record": "takes away: ; DELETE",
    "ALTER TABLE client ADD COLUMN tier integer CHECK (tier > 0)": "client demands more",
}
BREACHES_OF_POSTGRES: Final = {
    "ALTER TABLE client ADD COLUMN tier text NOT NULL": "client.tier is new and has no default",
    "ALTER TABLE client ALTER COLUMN enabled TYPE bigint": "client.enabled was smallint and is bigint",
    "ALTER TABLE client ALTER COLUMN enabled DROP DEFAULT": "client.enabled is needed and was not",
    "ALTER TABLE family ALTER COLUMN session_id SET NOT NULL": "family.session_id is needed and was not",
    "DO $$ BEGIN EXECUTE 'DROP TABLE webhook'; END $$": "webhook.body is gone",
    "DO $$ BEGIN DELETE FROM record; END $$": "takes away: BEGIN DELETE",
}
CASES: Final[list[tuple[Dialect, str, str]]] = [
    *((dialect, text, said) for text, said in BREACHES.items() for dialect in DIALECTS),
    *(("postgres", text, said) for text, said in BREACHES_OF_POSTGRES.items()),
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_step_that_takes_something_away_or_demands_more_is_found(
    dialect: Dialect, cluster: Cluster, tmp_path: Path
) -> None:
    for number, (_, text, said) in enumerate(case for case in CASES if case[0] == dialect):
        folder = tmp_path / str(number)
        folder.mkdir()
        with a_database(dialect, cluster, folder) as run:
            steps = [*known_migrations(dialect), Migration(999, "999_later.sql", text)]
            found = held_to_the_rule(steps, run, dialect)
            assert any(said in each for each in found["999_later.sql"]), (text, found)
            assert list(found) == [*LIGHTER, "999_later.sql"]
