"""Moves a store, and is killed just before the statement given, of SQLite or PostgreSQL: `DATA ADDRESS NUMBER`.

Says how many there were if it lives.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import psycopg
from click.testing import CliRunner

from detent.cli import main

left = count(1)
last = 0


def step() -> None:
    global last
    last = next(left)
    if last == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)


def trace(_: apsw.Cursor, __: str, ___: object) -> bool:
    step()
    return True


def before(method: Any) -> Any:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        step()
        return method(*arguments, **named)

    return wrapped


apsw.connection_hooks.append(lambda db: db.set_exec_trace(trace))
for kind in (psycopg.Connection, psycopg.ServerCursor):
    kind.execute = before(kind.execute)  # type: ignore[method-assign]
psycopg.Cursor.copy = before(psycopg.Cursor.copy)  # type: ignore[method-assign]
psycopg.Connection.commit = before(psycopg.Connection.commit)  # type: ignore[method-assign]
Path.replace = before(Path.replace)  # type: ignore[method-assign]
result = CliRunner().invoke(main, ["migrate", "--data", sys.argv[1], "--to", sys.argv[2]])
if result.exit_code:
    sys.exit(result.output)
print(last)  # noqa: T201
