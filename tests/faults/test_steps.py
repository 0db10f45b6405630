"""Attack rows F2, F4 and F5: each single write and sync of an operation fails, is cut short, or is where it is killed.

The answer is the right one or 503; after the next start all is as it was answered, and an honest client goes on.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import apsw
import pytest

from tests.faults.operations import OPERATIONS, asked
from tests.faults.stepping import Fault, SteppingDisk, broken, full, over_quota
from tests.serving import on_sqlite, running

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]
STRIDE = int(os.environ.get("FAULTS_STRIDE", "5"))  # of the steps, every which one
ROOT = Path(__file__).parents[2]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SteppingDisk]:
    disk = SteppingDisk(f"steps of {tmp_path.name}")
    yield disk
    disk.unregister()


def sound(folder: Path) -> bool:
    with closing(apsw.Connection(str(folder / "detent.db"))) as db:
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("fault", [full, over_quota], ids=["ENOSPC", "EDQUOT"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_fault_f4_a_disk_that_is_full_at_any_single_write_costs_a_503_at_most(
    name: str, fault: Fault, tmp_path: Path, keys_folder: Path, disk: SteppingDisk
) -> None:
    operation = OPERATIONS[name]
    with running(tmp_path, keys_folder, on_sqlite(tmp_path, vfs=disk.name)) as detent:
        for at in count(1):
            given = operation.prepare(detent)
            disk.arm(at, fault, only="write")
            outcome, _ = asked(detent, operation, given)
            disk.disarm()
            operation.judge(detent, outcome)
            if len(disk.steps) < at:
                break
    assert at > 3
    assert sound(tmp_path)


@pytest.mark.parametrize("fault", [broken, full], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_fault_f5_a_disk_that_fails_at_any_write_or_sync_ends_writing_until_the_next_start(
    name: str, fault: Fault, tmp_path: Path, keys_folder: Path, disk: SteppingDisk
) -> None:
    operation = OPERATIONS[name]
    for at in count(1, STRIDE):
        with running(tmp_path, keys_folder, on_sqlite(tmp_path, vfs=disk.name)) as detent:
            given = operation.prepare(detent)
            disk.arm(at, fault)
            outcome, _ = asked(detent, operation, given)
            disk.disarm()
            reached = len(disk.steps) >= at
            if reached and (fault is broken or disk.steps[at - 1] == "sync"):
                assert operation.ask(detent, given).status_code == 503
        with running(tmp_path, keys_folder, "sqlite") as detent:
            operation.judge(detent, outcome)
        if not reached:
            break
    assert at > 3
    assert sound(tmp_path)


@pytest.mark.parametrize("name", OPERATIONS)
def test_fault_f2_a_process_killed_at_any_write_sync_or_deletion_loses_nothing_it_answered(
    name: str, tmp_path: Path, keys_folder: Path
) -> None:
    """From the request to the end of a clean shutdown, which checkpoints the log and removes it."""
    command = [sys.executable, "-m", "tests.faults.dying", name, str(tmp_path), str(keys_folder), str(STRIDE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8
    assert sound(tmp_path)
