"""Keys in a folder of the test's own, on a clock that the test moves."""

import shutil
from pathlib import Path

import pytest

from detent.keys.file import FileKeys
from detent.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one first start makes; RSA keys are slow to find, so most tests begin with a copy."""
    path = tmp_path_factory.mktemp("first") / "keys"
    FileKeys.open(path, ManualClock())
    return path


@pytest.fixture
def path(first_start: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first_start, tmp_path / "keys"))


@pytest.fixture
def keys(path: Path, clock: ManualClock) -> FileKeys:
    return FileKeys.open(path, clock)
