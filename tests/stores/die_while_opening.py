"""Opens a new store in the folder given, once per statement of the opening, and dies just before that statement.

Prints how many processes died. A script of its own because it forks.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import NoReturn

import apsw

from detent.stores.sqlite.connection import open_connection


def die_before(number: int, path: Path) -> NoReturn:
    left = count(1)

    def trace(_: apsw.Cursor, __: str, ___: object) -> bool:
        if next(left) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    apsw.connection_hooks.append(lambda db: db.set_exec_trace(trace))
    open_connection(path)
    os._exit(0)


folder = Path(sys.argv[1])
for number in count(1):
    child = os.fork()
    if not child:
        die_before(number, folder / f"dead-{number:03}.db")
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 0:
        (folder / f"dead-{number:03}.db").unlink()
        break
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit("opening failed")
print(number - 1)  # noqa: T201
