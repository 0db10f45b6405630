"""The numbered steps of the schema, a file each: schema/ for SQLite, schema/postgres/ for PostgreSQL."""

from importlib.resources import files
from typing import Literal

import msgspec


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    text: str


def known_migrations(dialect: Literal["sqlite", "postgres"]) -> list[Migration]:
    folder = files("detent.stores") / "schema" / dialect
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:3]), file.name, file.read_text("utf-8")) for file in found]
