"""One statement for what many ask of one kind: PostgreSQL plans all that it is asked anew, and detent prepares nothing.

Rule: each row is looked up by its own key (a function of the schema, OFFSET 0, a subselect), never by a join with a
whole table, whatever PostgreSQL believes of its size (docs/decisions/0040).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec

from detent.stores import sql
from detent.stores.rows import Value
from detent.stores.statements import Step

FOUND: Final = b"SELECT * FROM families_found($1, $2)"
_UNLESS: Final = b"SELECT 1 FROM record WHERE kind = ($3::text[])[asked] AND key = ($4::text[])[asked]"
FOUND_UNLESS: Final = FOUND + b" WHERE (%b) IS NULL" % _UNLESS  # NOT EXISTS would be a join with all of `record`
REPLACED: Final = b"SELECT families_replaced($1)"
_REPLACED: Final = (*sql.HOT, "placement", "id")
_OF_BYTES: Final = ("id", "seed", "retry_key", "agent", "value")


def _read(text: str, *types: str) -> bytes:
    """The parameter is JSON: for each an object with `asked`, its number, and v1, v2 … of these types."""
    numbers = count(1)
    one = re.sub(r"\?(\d*)", lambda mark: f"a.v{mark[1] or next(numbers)}", text)
    columns = ", ".join(f"v{number} {kind}" for number, kind in enumerate(types, 1))
    return (
        f"SELECT a.asked, found.* FROM json_to_recordset($1) AS a(asked integer, {columns}), "  # noqa: S608
        f"LATERAL ({one} OFFSET 0) AS found"
    ).encode()


READ: Final[Mapping[str, bytes]] = {
    text: _read(text, *types)
    for text, types in {
        sql.USER: ("text",),
        sql.USER_BY_NAME: ("text",),
        sql.SESSION: ("integer", "text"),
        sql.CONSENT: ("integer", "text", "text"),
        sql.RECORD: ("text", "text"),
    }.items()
}


def asked_in_json(asked: Iterable[tuple[int, Sequence[Value]]]) -> str:
    """Numbers, and the values that each asks with."""
    rows = [{"asked": number, **{f"v{n}": value for n, value in enumerate(values, 1)}} for number, values in asked]
    return msgspec.json.encode(rows).decode()


class _Inserted(msgspec.Struct, frozen=True):
    text: str
    columns: tuple[str, ...]


_INSERT: Final = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) (?:VALUES \([^)]*\)|SELECT [?, ]+)(.*)")


def _inserted(text: str, *keys: str) -> _Inserted:
    """`keys`: the columns of the new row that its conditions ask with."""
    [(table, columns, rest)], asked = _INSERT.findall(text), iter(keys)
    rest = re.sub(r"EXISTS \(([^)]*)\)", r"(\1) IS NOT NULL", rest)
    rest = re.sub(r"\?", lambda _: f"new.{next(asked)}", rest)
    row = f"NULL::{table}" if table != "record" else "(SELECT one FROM record AS one LIMIT 0)"  # a type has that name
    new = f"json_populate_recordset({row}, $1) AS new"
    return _Inserted(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {new} {rest}",  # noqa: S608
        tuple(columns.split(", ")),
    )


_IN_SESSION: Final = ("placement", "session_id")
_CONSENTED: Final = ("placement", "subject", "client_id")
_INSERTED: Final[Mapping[str, _Inserted]] = {
    **{text: _inserted(text) for text in (sql.INSERT_SESSION, sql.INSERT_RECORD, sql.INSERT_EVENT)},
    **{
        text: _inserted(text, *(_IN_SESSION if in_session else ()), *(_CONSENTED if consented else ()))
        for in_session in (False, True)
        for consented in (False, True)
        for text in (sql.insert_family(in_session=in_session, consented=consented),)
    },
}


def gathered(steps: Sequence[Step]) -> list[Step]:
    """Those that insert into the same table are one, in the place of the first of them."""
    same: dict[str, list[Step]] = {}
    for step in steps:
        same.setdefault(step.text, []).append(step)
    return [one for text, those in same.items() for one in _as_one(text, those)]


def _as_one(text: str, steps: Sequence[Step]) -> Sequence[Step]:
    inserted = _INSERTED.get(text)
    if inserted is None or len(steps) == 1:
        return steps
    rows = rows_in_json(inserted.columns, [step.values for step in steps])
    return [Step(inserted.text, (rows,), least=len(steps))]


def replaced_in_json(all_values: Iterable[tuple[Value, ...]]) -> str:
    """Families, for `REPLACED`; the last of the values, the version before, goes without saying."""
    return rows_in_json(_REPLACED, all_values)


def rows_in_json(columns: Sequence[str], all_values: Iterable[tuple[Value, ...]]) -> str:
    """A JSON array with an object for each row, of its first values; bytes are in hexadecimal digits there too."""
    rows = [dict(zip(columns, values[: len(columns)], strict=True)) for values in all_values]
    of_bytes = [name for name in _OF_BYTES if name in columns]
    for row in rows:
        for name in of_bytes:
            value = row[name]
            if isinstance(value, bytes):
                row[name] = f"\\x{value.hex()}"
    return msgspec.json.encode(rows).decode()


def in_arrays(keys: Sequence[tuple[Any, ...]]) -> tuple[str, str]:
    """Placements and ids as PostgreSQL writes arrays; psycopg would quote each element by a regular expression."""
    placements = ",".join([str(placement) for placement, *_ in keys])
    ids = ",".join([f'"\\\\x{family_id.hex()}"' for _, family_id, *_ in keys])
    return f"{{{placements}}}", f"{{{ids}}}"
