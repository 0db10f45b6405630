"""Makes the schema of a PostgreSQL database, and is killed: `ADDRESS here NUMBER` just before its own statement of that
number, `ADDRESS there NUMBER` by the server, right after the step of that number which it carried out.

Prints how many there were if it lives.
"""

import asyncio
import os
import signal
import sys
from itertools import count
from typing import Any

import psycopg

from detent.stores.migrations import known_migrations
from detent.stores.postgres.migrations import migrate

# Sequences count also what is undone.
BY_THE_SERVER = """
CREATE SCHEMA test;
CREATE SEQUENCE test.steps;
CREATE FUNCTION test.step() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('test.steps') = {number} THEN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''kill -KILL {pid}'''; END IF;
END $$;
CREATE EVENT TRIGGER step ON ddl_command_end EXECUTE FUNCTION test.step();
"""


async def run(conninfo: str, where: str, number: int) -> int:
    if where == "there":
        with psycopg.connect(conninfo, autocommit=True) as other:
            other.execute(BY_THE_SERVER.format(number=number, pid=os.getpid()).encode())
    left, last = count(1), 0

    class Counting(psycopg.AsyncConnection[Any]):
        async def execute(self, *arguments: Any, **named: Any) -> Any:
            nonlocal last
            last = next(left)
            if where == "here" and last == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return await super().execute(*arguments, **named)

    kwargs: Any = {"autocommit": True, "prepare_threshold": None, "cursor_factory": psycopg.AsyncRawCursor}
    async with await Counting.connect(conninfo, **kwargs) as connection:
        await migrate(connection, known_migrations("postgres"))
    if where == "here":
        return last
    with psycopg.connect(conninfo) as other:
        [(steps,)] = other.execute("SELECT last_value FROM test.steps").fetchall()
        return int(steps)


print(asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201
