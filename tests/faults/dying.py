"""`OPERATION FOLDER KEYS STRIDE`: carries the operation out over HTTP in one process after another.

Each is killed STRIDE steps later than the one before it, and judges what that one left; the last one lives. Prints how
many steps were passed. A script of its own because it forks.
"""

import os
import signal
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import apsw
import msgspec

from tests.faults.operations import OPERATIONS, Asked, asked
from tests.faults.stepping import SteppingDisk, killed
from tests.serving import on_sqlite, running


def live(at: int, folder: Path, keys: Path, name: str) -> None:
    """Judge the last one, then do the same and die at step `at`. Says what is asked before, and the answer after."""
    operation, told = OPERATIONS[name], folder / "asked.json"
    disk = SteppingDisk("dying")
    with running(folder, keys, on_sqlite(folder, vfs=disk.name)) as detent:
        if told.exists():
            operation.judge(detent, msgspec.json.decode(told.read_bytes(), type=Asked))
        given = operation.prepare(detent)
        told.write_bytes(msgspec.json.encode(Asked(given)))
        with closing(apsw.Connection(str(folder / "detent.db"))) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the steps are those of the operation
        disk.arm(at, killed)
        outcome, _ = asked(detent, operation, given)
        assert outcome.status == operation.done
        told.write_bytes(msgspec.json.encode(outcome))


def main() -> None:
    name, folder, keys = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    for at in count(1, int(sys.argv[4])):
        child = os.fork()
        if not child:
            live(at, folder, keys, name)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"step {at}: ended with {status}")
    print(at - 1)  # noqa: T201


main()
